#!/usr/bin/env python3
# Publishes readings that stay: pip install paho-mqtt && python3 examples/sensor.py [HOST [PORT]]
import sys
import paho.mqtt.client as mqtt

host, port = (sys.argv[1:] + ["127.0.0.1", "1883"][len(sys.argv) - 1 :])[:2]
sensor = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
sensor.connect(host, int(port))
sensor.loop_start()
for celsius in (20.5, 20.7, 21.1):
    sensor.publish("home/kitchen/celsius", celsius, qos=1, retain=True).wait_for_publish()
sensor.disconnect()
