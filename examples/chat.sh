#!/usr/bin/env bash
# Talks to a room, a line at a time: apt install mosquitto-clients && examples/chat.sh NAME [HOST [PORT]]
name=${1:?your name} broker=(-h "${2:-127.0.0.1}" -p "${3:-1883}")
stdbuf -oL mosquitto_sub "${broker[@]}" -t chat/room &
trap 'kill $!' EXIT
sed -u "s/^/$name: /" | mosquitto_pub "${broker[@]}" -t chat/room -l
