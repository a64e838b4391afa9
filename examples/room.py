#!/usr/bin/env python3
# Says a line to a room and prints the answer: pip install websocket-client && python3 examples/room.py TEXT [HOST [PORT]]
import sys
import websocket

text, host, port = (sys.argv[1:] + ["hello", "127.0.0.1", "8000"][len(sys.argv) - 1 :])[:3]
room = websocket.create_connection(f"ws://{host}:{port}/chat/room?echo=0&text=1")
room.send(text)
print(room.recv())
