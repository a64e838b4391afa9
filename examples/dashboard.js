#!/usr/bin/env node
// Prints the readings of all rooms: npm install mqtt && node examples/dashboard.js [HOST [PORT]]
const mqtt = require('mqtt')

const [host = '127.0.0.1', port = '1883'] = process.argv.slice(2)
const dashboard = mqtt.connect(`mqtt://${host}:${port}`)
dashboard.on('connect', () => dashboard.subscribe('home/+/celsius', () => console.log('watching')))
dashboard.on('message', (topic, reading) => console.log(`${topic.split('/')[1]}: ${reading} °C`))
