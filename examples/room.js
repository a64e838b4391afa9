#!/usr/bin/env node
// Talks to a room, a line at a time: npm install ws && node examples/room.js NAME [HOST [PORT]]
const WebSocket = require('ws') // a browser has one of its own
const [name = 'someone', host = '127.0.0.1', port = '8000'] = process.argv.slice(2)

const room = new WebSocket(`ws://${host}:${port}/chat/room?last=1&text=1`)
room.onmessage = ({ data }) => console.log(String(data))
room.onopen = () => require('node:readline').createInterface({ input: process.stdin })
  .on('line', line => room.send(`${name}: ${line}`))
  .on('close', () => room.close())
