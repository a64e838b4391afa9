//! A shared subscription while one of its shards stands still.

use ringbus::base::Nanos;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::client::Hello;
use ringbus_tests::simulation::play;

const ONE: QoS = QoS::AtLeastOnce;
const MESSAGES: usize = 10;

/// The news that somebody is back overtakes messages for those who are not: they go to the one who
/// is, all the same.
#[test]
fn messages_for_absent_members_find_the_one_who_is_back() {
    play(|scene| {
        if scene.shards() == 1 {
            return; // Nothing overtakes anything.
        }
        let owned_at_home = |name: &String| scene.is_owned_at_home("job/x", name);
        let names = || (0..).map(|number| format!("member{number}"));
        let near = names().find(owned_at_home).expect("one of them");
        let far = names().find(|name| !owned_at_home(name)).expect("another");
        let [near, far] = [near, far].map(|name| Hello::persistent(Version::V5, &name));
        for hello in [&near, &far] {
            let (mut member, _) = scene.hello(hello);
            member.subscribe("$share/group/job/x", ONE);
            member.disconnect();
        }
        let publisher = names().filter(|name| owned_at_home(name)).nth(1);
        let publisher = Hello::new(Version::V5, &publisher.expect("another"));
        let (mut publisher, _) = scene.hello_at_home(&publisher);
        scene.freeze_home_of(&far.client_id, Nanos::from_secs(1));
        for _ in 0..MESSAGES {
            publisher.publish("job/x", "work", ONE, false);
        }
        let (mut back, present) = scene.hello_at_home(&near);
        assert!(present);
        scene.pass_seconds(2);
        for _ in 0..MESSAGES {
            back.expect("job/x", "work", ONE, false);
        }
        back.expect_nothing();
    });
}
