#!/usr/bin/env node
// Drives the bare topic socket with ws: node ws_client.js HOST MQTT_PORT WS_PORT
// Each check talks with mqtt.js on TCP, both ways. Prints a line per check and exits 1 if one failed.
'use strict'

const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const mqtt = require('mqtt')
const WebSocket = require('ws')
const { Queue, run } = require('./checks')

const [host, mqttPort, wsPort] = process.argv.slice(2)
const LARGE_BYTES = Number(process.env.RINGBUS_LARGE_BYTES ?? 1 << 20)

// An MQTT client on TCP that is subscribed to one topic.
class Device {
  static async open (topic) {
    const device = new Device()
    device.topic = topic
    device.messages = new Queue()
    device.js = await mqtt.connectAsync({ host, port: mqttPort, protocolVersion: 5, reconnectPeriod: 0 })
    device.js.on('message', (_, payload, packet) => device.messages.put([payload, packet]))
    await device.js.subscribeAsync(topic, { qos: 1 })
    return device
  }

  publish (payload, text, options = {}) {
    const properties = text ? { payloadFormatIndicator: true } : {}
    return this.js.publishAsync(this.topic, payload, { qos: 1, properties, ...options })
  }

  async expect (payload, text) {
    const [got, packet] = await this.messages.get('message on TCP')
    assert.deepEqual(got, Buffer.from(payload))
    assert.equal(packet.properties?.payloadFormatIndicator ?? false, text)
    return packet
  }

  close () { return this.js.endAsync() }
}

// A bare topic socket.
class Bare {
  static async open (path, options = {}) {
    const bare = new Bare()
    bare.ws = new WebSocket(`ws://${host}:${wsPort}/${path}`, options)
    bare.frames = new Queue()
    bare.pongs = new Queue()
    bare.closes = new Queue()
    bare.ws.on('message', (payload, isBinary) => bare.frames.put([payload, isBinary]))
    bare.ws.on('pong', payload => bare.pongs.put(payload.toString()))
    bare.ws.on('close', code => bare.closes.put(code))
    const opened = new Queue()
    bare.ws.on('open', () => opened.put(null))
    bare.ws.on('error', error => opened.put(error))
    const error = await opened.get('101')
    if (error) throw error
    return bare
  }

  send (payload) { this.ws.send(payload) }

  async expect (payload, isBinary = false) {
    assert.deepEqual(await this.frames.get('frame'), [Buffer.from(payload), isBinary])
  }

  async close (code = 1000) {
    this.ws.close(code)
    assert.equal(await this.closes.get('Close'), code)
  }
}

// A topic of one's own, a device on it and a socket.
async function pair (topic, query = '') {
  return [await Device.open(topic), await Bare.open(topic + query)]
}

async function textBothWays (topic) {
  const [device, bare] = await pair(topic)
  bare.send('grüße')
  await bare.expect('grüße')
  await device.expect('grüße', true)
  await device.publish('zurück', true)
  await bare.expect('zurück')
  await bare.close(); await device.close()
}

async function binaryBothWays (topic) {
  const [device, bare] = await pair(topic)
  const payload = Buffer.from([...Array(256).keys()])
  bare.send(payload)
  await bare.expect(payload, true)
  await device.expect(payload, false)
  await device.publish(payload.reverse(), false)
  await bare.expect(payload, true)
  await bare.close(); await device.close()
}

async function noEcho (topic) {
  const [device, bare] = await pair(topic, '?echo=0')
  bare.send('own')
  await device.expect('own', true)
  await device.publish('of another', true)
  await bare.expect('of another')
  await bare.close(); await device.close()
}

async function retainedAndLast (topic) {
  const [device, keeper] = await pair(topic, '?retain=1&qos=1')
  keeper.send('kept')
  await device.expect('kept', true)
  const late = await Bare.open(`${topic}?last=1`)
  await late.expect('kept')
  const now = await Bare.open(topic)
  keeper.send('')
  await late.expect('')
  await now.expect('') // without `last` this is the first
  await keeper.close(); await late.close(); await now.close(); await device.close()
}

async function pingAnswered (topic) {
  const bare = await Bare.open(topic)
  bare.ws.ping('are you there')
  assert.equal(await bare.pongs.get('pong'), 'are you there')
  await bare.close()
}

async function closeCodesAreAnswered (topic) {
  for (const code of [1000, 1001, 3000, 4999]) await (await Bare.open(topic)).close(code)
}

async function orderOfMany (topic) {
  const [device, bare] = await pair(topic, '?qos=1')
  for (let n = 0; n < 500; n++) bare.send(String(n))
  for (let n = 0; n < 500; n++) {
    await bare.expect(String(n))
    assert.equal((await device.expect(String(n), true)).qos, 1)
  }
  await bare.close(); await device.close()
}

async function large (topic) {
  const [device, bare] = await pair(topic)
  const payload = randomBytes(LARGE_BYTES)
  bare.send(payload)
  await bare.expect(payload, true)
  await device.expect(payload, false)
  await device.publish(payload, false)
  await bare.expect(payload, true)
  await bare.close(); await device.close()
}

async function compressionAskedFor (topic) {
  // Refused or granted, what is said is the same.
  const device = await Device.open(topic)
  const bare = await Bare.open(topic, { perMessageDeflate: { threshold: 0 } })
  bare.send('again '.repeat(1000))
  await bare.expect('again '.repeat(1000))
  await device.expect('again '.repeat(1000), true)
  await bare.close(); await device.close()
}

async function manySocketsOfOneTopic (topic) {
  const device = await Device.open(topic)
  const sockets = await Promise.all([...Array(20)].map(() => Bare.open(topic)))
  for (const [n, socket] of sockets.entries()) {
    socket.send(String(n))
    for (const each of sockets) await each.expect(String(n))
    await device.expect(String(n), true)
  }
  for (const socket of sockets) await socket.close()
  await device.close()
}

async function refusedWithAReason (topic) {
  for (const path of [`${topic}/%23`, `${topic}/+`, `${topic}/%00`, `${topic}/%zz`, '$share/group/topic', `${topic}?what=1`]) {
    const answer = await new Promise((resolve, reject) => {
      new WebSocket(`ws://${host}:${wsPort}/${path}`)
        .on('unexpected-response', (request, response) => {
          let body = ''
          response.on('data', data => { body += data }).on('end', () => resolve([response.statusCode, body]))
        })
        .on('open', () => reject(new Error(`${path} was admitted`)))
        .on('error', reject)
    })
    assert.equal(answer[0], 400, path)
    assert.ok(answer[1].trim().length > 10, `${path}: no reason in ${JSON.stringify(answer[1])}`)
  }
}

run('ws', [
  textBothWays, binaryBothWays, noEcho, retainedAndLast, pingAnswered, closeCodesAreAnswered, orderOfMany, large,
  compressionAskedFor, manySocketsOfOneTopic, refusedWithAReason
])
