// Drives the bare topic socket with javax.websocket (Tomcat's client): JavaxClient HOST MQTT_PORT WS_PORT
//
// Each check talks with mosquitto_pub and mosquitto_sub on TCP, both ways. Prints a line per check
// and exits 1 if one failed. Every wait is for an event, with a deadline.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.websocket.ClientEndpoint;
import javax.websocket.CloseReason;
import javax.websocket.ContainerProvider;
import javax.websocket.DeploymentException;
import javax.websocket.OnClose;
import javax.websocket.OnMessage;
import javax.websocket.PongMessage;
import javax.websocket.Session;
import javax.websocket.WebSocketContainer;

public final class JavaxClient {
    private static final long DEADLINE_SECONDS = 20;
    private static final int LARGE_BYTES = 1 << 20;
    private static String host, mqttPort, wsPort;

    interface Check {
        void run(String topic) throws Exception;
    }

    public static void main(String[] arguments) {
        host = arguments[0];
        mqttPort = arguments[1];
        wsPort = arguments[2];
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("text_both_ways", JavaxClient::textBothWays);
        checks.put("binary_both_ways", JavaxClient::binaryBothWays);
        checks.put("no_echo", JavaxClient::noEcho);
        checks.put("retained_and_last", JavaxClient::retainedAndLast);
        checks.put("large", JavaxClient::large);
        checks.put("fragments", JavaxClient::fragments);
        checks.put("ping_answered", JavaxClient::pingAnswered);
        checks.put("close_is_answered", JavaxClient::closeIsAnswered);
        checks.put("refused", JavaxClient::refused);
        int failed = 0;
        for (var check : checks.entrySet()) {
            try {
                check.getValue().run("java/" + check.getKey());
                System.out.println("ok     javax.websocket " + check.getKey());
            } catch (Throwable failure) {
                failed++;
                System.out.println("FAILED javax.websocket " + check.getKey() + ": " + failure);
            }
        }
        System.exit(failed > 0 ? 1 : 0);
    }

    static void textBothWays(String topic) throws Exception {
        try (var device = new Device(topic); var bare = new Bare(topic)) {
            bare.session.getBasicRemote().sendText("grüße");
            bare.expect("grüße");
            device.expect("grüße".getBytes(StandardCharsets.UTF_8), true);
            publish(topic, "zurück".getBytes(StandardCharsets.UTF_8), true);
            bare.expect("zurück");
        }
    }

    static void binaryBothWays(String topic) throws Exception {
        byte[] payload = {0, 1, 127, -128, -1};
        try (var device = new Device(topic); var bare = new Bare(topic)) {
            bare.session.getBasicRemote().sendBinary(ByteBuffer.wrap(payload));
            bare.expect(payload);
            device.expect(payload, false);
            publish(topic, new byte[] {-1, 0}, false);
            bare.expect(new byte[] {-1, 0});
        }
    }

    static void noEcho(String topic) throws Exception {
        try (var device = new Device(topic); var bare = new Bare(topic + "?echo=0")) {
            bare.session.getBasicRemote().sendText("own");
            device.expect("own".getBytes(), true);
            publish(topic, "of another".getBytes(), true);
            bare.expect("of another");
        }
    }

    static void retainedAndLast(String topic) throws Exception {
        try (var keeper = new Bare(topic + "?retain=1")) {
            keeper.session.getBasicRemote().sendText("kept");
            keeper.expect("kept");
            try (var late = new Bare(topic + "?last=1")) {
                late.expect("kept");
                keeper.session.getBasicRemote().sendText("");
                late.expect("");
            }
        }
    }

    static void large(String topic) throws Exception {
        byte[] payload = new byte[LARGE_BYTES];
        new Random(1).nextBytes(payload);
        try (var device = new Device(topic); var bare = new Bare(topic)) {
            bare.session.getBasicRemote().sendBinary(ByteBuffer.wrap(payload));
            bare.expect(payload);
            device.expect(payload, false);
        }
    }

    static void fragments(String topic) throws Exception {
        try (var device = new Device(topic); var bare = new Bare(topic)) {
            bare.session.getBasicRemote().sendText("one ", false);
            bare.session.getBasicRemote().sendText("two ", false);
            bare.session.getBasicRemote().sendText("three", true);
            bare.expect("one two three");
            device.expect("one two three".getBytes(), true);
        }
    }

    static void pingAnswered(String topic) throws Exception {
        try (var bare = new Bare(topic)) {
            bare.session.getBasicRemote().sendPing(ByteBuffer.wrap("there?".getBytes()));
            same(bare.next("pong"), "pong there?");
        }
    }

    static void closeIsAnswered(String topic) throws Exception {
        try (var bare = new Bare(topic)) {
            bare.session.close(new CloseReason(CloseReason.CloseCodes.getCloseCode(4001), "enough"));
            same(bare.next("close"), "close 4001");
        }
    }

    static void refused(String topic) throws Exception {
        for (String path : List.of(topic + "/%23", topic + "/+", topic + "?what=1")) {
            try {
                new Bare(path).close();
            } catch (DeploymentException refused) {
                if (refused.getMessage().contains("400")) continue;
                throw refused;
            }
            throw new AssertionError(path + " was admitted");
        }
    }

    /** A bare topic socket, whose events come in order. */
    @ClientEndpoint
    public static final class Bare implements AutoCloseable {
        final BlockingQueue<Object> events = new LinkedBlockingQueue<>();
        final Session session;

        Bare(String path) throws Exception {
            WebSocketContainer container = ContainerProvider.getWebSocketContainer();
            container.setDefaultMaxTextMessageBufferSize(2 * LARGE_BYTES);
            container.setDefaultMaxBinaryMessageBufferSize(2 * LARGE_BYTES);
            session = container.connectToServer(this, URI.create("ws://" + host + ":" + wsPort + "/" + path));
        }

        @OnMessage
        public void text(String message) {
            events.add("text " + message);
        }

        @OnMessage
        public void binary(byte[] message) {
            events.add(message);
        }

        @OnMessage
        public void pong(PongMessage message) {
            events.add("pong " + StandardCharsets.UTF_8.decode(message.getApplicationData()));
        }

        @OnClose
        public void closed(CloseReason reason) {
            events.add("close " + reason.getCloseCode().getCode());
        }

        Object next(String what) throws Exception {
            return arrived(events.poll(DEADLINE_SECONDS, TimeUnit.SECONDS), what);
        }

        void expect(String text) throws Exception {
            same(next("text"), "text " + text);
        }

        void expect(byte[] payload) throws Exception {
            if (!(next("binary message") instanceof byte[] got) || !Arrays.equals(got, payload)) {
                throw new AssertionError("another message");
            }
        }

        @Override
        public void close() throws Exception {
            if (session.isOpen()) session.close();
        }
    }

    /** A subscriber on TCP whose lines are the payload format indicator and the payload in hex. */
    static final class Device implements AutoCloseable {
        final Process process;
        final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

        Device(String topic) throws Exception {
            process = new ProcessBuilder("stdbuf", "-oL", "mosquitto_sub", "-h", host, "-p", mqttPort, "-V", "mqttv5",
                "-d", "-q", "1", "-t", topic, "-F", "MESSAGE %F %x").redirectErrorStream(true).start();
            BlockingQueue<String> subscribed = new LinkedBlockingQueue<>();
            var reader = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
            var thread = new Thread(() -> {
                try {
                    for (String line; (line = reader.readLine()) != null;) {
                        if (line.startsWith("Subscribed")) subscribed.add(line);
                        if (line.startsWith("MESSAGE")) lines.add(line);
                    }
                } catch (IOException ended) {
                    // By close().
                }
            });
            thread.setDaemon(true);
            thread.start();
            arrived(subscribed.poll(DEADLINE_SECONDS, TimeUnit.SECONDS), "SUBACK of mosquitto_sub");
        }

        void expect(byte[] payload, boolean text) throws Exception {
            String line = arrived(lines.poll(DEADLINE_SECONDS, TimeUnit.SECONDS), "message at mosquitto_sub");
            same(line.replaceAll(" +", " ").trim(), ("MESSAGE " + (text ? "1 " : "") + HexFormat.of().formatHex(payload)).trim());
        }

        @Override
        public void close() {
            process.destroy();
        }
    }

    static void publish(String topic, byte[] payload, boolean text) throws Exception {
        List<String> command = new ArrayList<>(List.of("mosquitto_pub", "-h", host, "-p", mqttPort, "-V", "mqttv5",
            "-q", "1", "-t", topic, "-s"));
        if (text) command.addAll(List.of("-D", "publish", "payload-format-indicator", "1"));
        Process process = new ProcessBuilder(command).inheritIO().redirectInput(ProcessBuilder.Redirect.PIPE).start();
        process.getOutputStream().write(payload);
        process.getOutputStream().close();
        same(process.waitFor(), 0);
    }

    static <T> T arrived(T event, String what) {
        if (event == null) throw new AssertionError("no " + what + " in time");
        return event;
    }

    static void same(Object got, Object wanted) {
        if (!got.equals(wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
    }
}
