#!/usr/bin/env node
// Drives a broker with @stomp/stompjs: node stomp_client.js HOST MQTT_PORT WS_PORT
// Each check talks with mqtt.js on TCP, both ways. Prints a line per check and exits 1 if one failed.
'use strict'

const assert = require('node:assert/strict')
const mqtt = require('mqtt')
const { Client, Versions } = require('@stomp/stompjs')
const { DEADLINE_MS, Queue, run } = require('./checks')
global.WebSocket = require('ws')

const [host, mqttPort, wsPort] = process.argv.slice(2)

class Stomp {
  static async open (options = {}) {
    const stomp = new Stomp()
    stomp.errors = new Queue()
    stomp.closes = new Queue()
    const connected = new Queue()
    stomp.js = new Client({
      brokerURL: `ws://${host}:${wsPort}/stomp`,
      reconnectDelay: 0,
      onConnect: frame => connected.put(frame),
      onStompError: frame => stomp.errors.put(frame),
      onWebSocketClose: event => stomp.closes.put(event),
      ...options
    })
    stomp.js.activate()
    stomp.connected = await connected.get('CONNECTED')
    return stomp
  }

  // Subscribes, and returns once the receipt says that it is active.
  async subscribe (destination, headers = {}) {
    const messages = new Queue()
    const receipt = this.receipt()
    const subscription = this.js.subscribe(destination, m => messages.put(m), { receipt: receipt.id, ...headers })
    await receipt.come()
    return { messages, subscription }
  }

  receipt () {
    const receipts = new Queue()
    const id = `receipt-${Math.random()}`
    this.js.watchForReceipt(id, frame => receipts.put(frame))
    return { id, come: () => receipts.get('RECEIPT') }
  }

  async send (frame) {
    const receipt = this.receipt()
    this.js.publish({ ...frame, headers: { receipt: receipt.id, ...frame.headers } })
    await receipt.come()
  }

  close () { return this.js.deactivate() }
}

async function device (filter) {
  const js = await mqtt.connectAsync({ host, port: mqttPort, protocolVersion: 5, reconnectPeriod: 0 })
  js.messages = new Queue()
  js.on('message', (topic, payload, packet) => js.messages.put({ topic, text: payload.toString(), payload, packet }))
  await js.subscribeAsync(filter, { qos: 1 })
  return js
}

async function versionsAndHeaders () {
  for (const version of [Versions.V1_0, Versions.V1_1, Versions.V1_2]) {
    const stomp = await Stomp.open({ stompVersions: new Versions([version]) })
    assert.equal(stomp.js.connectedVersion, version)
    assert.match(stomp.connected.headers.server, /ringbus/)
    assert.ok(stomp.connected.headers.session)
    await stomp.close()
  }
}

async function bothWays (topic) {
  const stomp = await Stomp.open()
  const other = await device(topic)
  const { messages } = await stomp.subscribe(topic)
  await stomp.send({ destination: topic, body: 'grüße' })
  assert.equal((await other.messages.get('message')).text, 'grüße')
  assert.equal((await messages.get('own MESSAGE')).body, 'grüße')
  await other.publishAsync(topic, 'zurück', { qos: 1 })
  const got = await messages.get('MESSAGE')
  assert.deepEqual([got.body, got.headers.destination], ['zurück', topic])
  await stomp.close(); await other.endAsync()
}

async function binaryBothWays (topic) {
  const stomp = await Stomp.open()
  const other = await device(topic)
  const { messages } = await stomp.subscribe(topic)
  const bytes = Uint8Array.from([...Array(256).keys()])
  await stomp.send({ destination: topic, binaryBody: bytes })
  assert.deepEqual((await other.messages.get('message')).payload, Buffer.from(bytes))
  assert.deepEqual(Buffer.from((await messages.get('own MESSAGE')).binaryBody), Buffer.from(bytes))
  await other.publishAsync(topic, Buffer.from([0, 255, 0]), { qos: 1 })
  assert.deepEqual([...(await messages.get('MESSAGE')).binaryBody], [0, 255, 0])
  await stomp.close(); await other.endAsync()
}

async function headersAreProperties (topic) {
  const stomp = await Stomp.open()
  const other = await device(topic)
  const { messages } = await stomp.subscribe(topic)
  const headers = { 'content-type': 'application/json', colour: 'blue: dark', odd: 'a\\b\nc' }
  await stomp.send({ destination: topic, body: '{}', headers })
  const { properties } = (await other.messages.get('message')).packet
  assert.equal(properties.contentType, 'application/json')
  assert.equal(properties.userProperties.colour, 'blue: dark')
  assert.equal(properties.userProperties.odd, 'a\\b\nc')
  await messages.get('own MESSAGE')
  await other.publishAsync(topic, '{}', { qos: 1, properties: { contentType: 'text/csv', userProperties: { a: 'x:y\n' } } })
  const got = (await messages.get('MESSAGE')).headers
  assert.deepEqual([got['content-type'], got.a], ['text/csv', 'x:y\n'])
  await stomp.close(); await other.endAsync()
}

async function wildcards (topic) {
  const stomp = await Stomp.open()
  const { messages } = await stomp.subscribe(`${topic}/+/b`)
  const other = await device('unused')
  for (const name of ['x/c', 'x/b']) await other.publishAsync(`${topic}/${name}`, name, { qos: 1 })
  assert.equal((await messages.get('MESSAGE')).headers.destination, `${topic}/x/b`)
  await stomp.close(); await other.endAsync()
}

async function retained (topic) {
  const stomp = await Stomp.open()
  await stomp.send({ destination: topic, body: 'kept', headers: { retain: 'true', qos: '1' } })
  const { messages } = await stomp.subscribe(topic)
  const got = await messages.get('retained MESSAGE')
  assert.deepEqual([got.body, got.headers.retain], ['kept', 'true'])
  const other = await device(topic)
  const kept = await other.messages.get('retained message')
  assert.deepEqual([kept.text, kept.packet.retain], ['kept', true])
  await stomp.send({ destination: topic, body: '', headers: { retain: 'true' } })
  await stomp.close(); await other.endAsync()
}

async function acknowledged (topic) {
  const stomp = await Stomp.open()
  const other = await device('unused')
  for (const ack of ['client-individual', 'client']) {
    const { messages, subscription } = await stomp.subscribe(topic, { ack })
    for (let n = 0; n < 10; n++) await other.publishAsync(topic, String(n), { qos: 1 })
    for (let n = 0; n < 10; n++) {
      const message = await messages.get('MESSAGE')
      assert.equal(message.body, String(n))
      n % 3 === 0 ? message.nack() : message.ack()
    }
    subscription.unsubscribe()
  }
  await stomp.close(); await other.endAsync()
}

async function unsubscribe (topic) {
  const stomp = await Stomp.open()
  const one = await stomp.subscribe(`${topic}/one`)
  const two = await stomp.subscribe(`${topic}/two`)
  const receipt = stomp.receipt()
  one.subscription.unsubscribe({ receipt: receipt.id })
  await receipt.come()
  await stomp.send({ destination: `${topic}/one`, body: 'unwanted' })
  await stomp.send({ destination: `${topic}/two`, body: 'fence' })
  assert.equal((await two.messages.get('MESSAGE')).body, 'fence')
  assert.equal(one.messages.items.length, 0)
  await stomp.close()
}

async function orderOfMany (topic) {
  const stomp = await Stomp.open()
  const other = await device(topic)
  const { messages } = await stomp.subscribe(topic)
  for (let n = 0; n < 300; n++) stomp.js.publish({ destination: topic, body: String(n) })
  for (let n = 0; n < 300; n++) {
    assert.equal((await messages.get('MESSAGE')).body, String(n))
    assert.equal((await other.messages.get('message')).text, String(n))
  }
  await stomp.close(); await other.endAsync()
}

// An idle connection lives on, and a heart-beat comes when the broker said that it would.
async function heartBeats () {
  const stomp = await Stomp.open({ heartbeatIncoming: 1000, heartbeatOutgoing: 1000 })
  const [everyMs] = stomp.connected.headers['heart-beat'].split(',').map(Number)
  assert.ok(everyMs > 0 && everyMs < DEADLINE_MS, `a heart-beat every ${everyMs} ms`)
  const beats = new Queue()
  const began = performance.now()
  stomp.js.webSocket.addEventListener('message', ({ data }) => beats.put(data))
  assert.equal(Buffer.from(await beats.get('heart-beat')).toString(), '\n')
  const passed = performance.now() - began
  assert.ok(passed < Math.max(everyMs, 1000) * 1.5, `after ${passed} ms, not ${everyMs}`)
  assert.equal(stomp.closes.items.length, 0)
  await stomp.close()
}

async function transactionsAreRefused (topic) {
  const stomp = await Stomp.open()
  stomp.js.begin('tx').commit()
  const error = await stomp.errors.get('ERROR')
  assert.match(error.headers.message + error.body, /transaction/i)
  await stomp.closes.get('close')
  await stomp.close()
}

async function badDestinationsAreRefused (topic) {
  for (const destination of [`${topic}/#`, `${topic}/+`]) {
    const stomp = await Stomp.open()
    stomp.js.publish({ destination, body: 'x' })
    assert.ok((await stomp.errors.get('ERROR')).headers.message)
    await stomp.closes.get('close')
    await stomp.close()
  }
}

run('stompjs', [
  versionsAndHeaders, bothWays, binaryBothWays, headersAreProperties, wildcards, retained, acknowledged, unsubscribe,
  orderOfMany, heartBeats, transactionsAreRefused, badDestinationsAreRefused
])
