#!/usr/bin/env node
// Drives a broker with @nats-io/transport-node: node nats_client.js HOST MQTT_PORT WS_PORT NATS_PORT
// Each check talks with mqtt.js on TCP and with a bare topic socket, both ways. Prints a line per check and exits 1
// if one failed.
'use strict'

const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { connect, headers } = require('@nats-io/transport-node')
const mqtt = require('mqtt')
const WebSocket = require('ws')
const { DEADLINE_MS, Queue, run } = require('./checks')

const [host, mqttPort, wsPort, natsPort] = process.argv.slice(2)
const LARGE_BYTES = Number(process.env.RINGBUS_LARGE_BYTES ?? 1 << 20)
const REQUEST = { timeout: DEADLINE_MS }

// An MQTT client on TCP that is subscribed to one filter.
class Device {
  static async open (filter) {
    const device = new Device()
    device.messages = new Queue()
    device.js = await mqtt.connectAsync({ host, port: mqttPort, protocolVersion: 5, reconnectPeriod: 0 })
    device.js.on('message', (topic, payload, packet) => device.messages.put([topic, payload, packet]))
    await device.js.subscribeAsync(filter, { qos: 1 })
    return device
  }

  publish (topic, payload, properties = {}) {
    return this.js.publishAsync(topic, payload, { qos: 1, properties })
  }

  async expect (topic, payload) {
    const [gotTopic, got, packet] = await this.messages.get('message on TCP')
    assert.equal(gotTopic, topic)
    assert.deepEqual(got, Buffer.from(payload))
    return packet
  }

  close () { return this.js.endAsync() }
}

// A bare topic socket that does not hear itself.
class Bare {
  static async open (topic) {
    const bare = new Bare()
    bare.ws = new WebSocket(`ws://${host}:${wsPort}/${topic}?echo=0`)
    bare.frames = new Queue()
    bare.ws.on('message', payload => bare.frames.put(payload))
    await new Promise((resolve, reject) => bare.ws.on('open', resolve).on('error', reject))
    return bare
  }

  publish (payload) { this.ws.send(Buffer.from(payload)) }

  async expect (payload) { assert.deepEqual(await this.frames.get('frame'), Buffer.from(payload)) }

  close () { this.ws.close() }
}

// A NATS client and the queues of its subscriptions.
class Peer {
  static async open (options = {}) {
    const peer = new Peer()
    peer.nc = await connect({ servers: `${host}:${natsPort}`, reconnect: false, timeout: DEADLINE_MS, ...options })
    return peer
  }

  // A subscription that is active.
  async subscribe (subject, options = {}) {
    const messages = new Queue()
    messages.subscription = this.nc.subscribe(subject, {
      ...options,
      callback: (error, message) => messages.put(error ?? message)
    })
    await this.nc.flush()
    return messages
  }

  // Answers requests with what a function makes of them.
  async answer (subject, respond) {
    this.nc.subscribe(subject, { callback: (_, message) => message.respond(respond(message)) })
    await this.nc.flush()
  }

  publish (subject, payload, options) { this.nc.publish(subject, payload, options) }

  // What was on its way before a PONG has come before it.
  async expectNothing (...all) {
    await this.nc.flush()
    for (const messages of all) assert.equal(messages.items.length, 0)
  }

  close () { return this.nc.close() }
}

async function expect (messages, subject, payload) {
  const message = await messages.get(`message of ${subject}`)
  assert.equal(message.subject, subject)
  assert.deepEqual(Buffer.from(message.data), Buffer.from(payload))
  return message
}

function closeAll (...clients) { return Promise.all(clients.map(client => client.close())) }

const subjectOf = topic => topic.replaceAll('/', '.')

// One message of each of three protocols, to each of them.
async function allWays (topic, payload) {
  const subject = subjectOf(topic)
  const [device, bare, peer] = [await Device.open(topic), await Bare.open(topic), await Peer.open()]
  const own = await peer.subscribe(subject)
  peer.publish(subject, payload)
  await expect(own, subject, payload)
  await device.expect(topic, payload)
  await bare.expect(payload)
  await device.publish(topic, payload)
  await expect(own, subject, payload)
  await device.expect(topic, payload)
  await bare.expect(payload)
  bare.publish(payload)
  await expect(own, subject, payload)
  await device.expect(topic, payload)
  await closeAll(device, bare, peer)
}

const binaryAllWays = topic => allWays(topic, Buffer.from([...Array(256).keys()]))
const emptyAllWays = topic => allWays(topic, Buffer.alloc(0))
const largeAllWays = topic => allWays(topic, randomBytes(LARGE_BYTES))

async function wildcards (topic) {
  const subject = subjectOf(topic)
  const [device, peer] = [await Device.open(`${topic}/#`), await Peer.open()]
  const star = await peer.subscribe(`${subject}.*.temp`)
  const allBelow = await peer.subscribe(`${subject}.>`)
  const sent = [['/a/temp', '1'], ['/a/b/temp', '2'], ['', 'not below'], ['/a b.c/temp', '3']]
  for (const [below, payload] of sent) {
    await device.publish(topic + below, payload)
    await device.expect(topic + below, payload)
  }
  await expect(allBelow, `${subject}.a.temp`, '1')
  await expect(allBelow, `${subject}.a.b.temp`, '2')
  await expect(allBelow, `${subject}.a%20b%2Ec.temp`, '3')
  await expect(star, `${subject}.a.temp`, '1')
  await expect(star, `${subject}.a%20b%2Ec.temp`, '3')
  await peer.expectNothing(star, allBelow)
  const bare = await Bare.open(`${topic}/x/temp`)
  bare.publish('of a socket')
  await expect(star, `${subject}.x.temp`, 'of a socket')
  await device.expect(`${topic}/x/temp`, 'of a socket')
  peer.publish(`${subject}.y%20z.temp`, '4')
  await device.expect(`${topic}/y z/temp`, '4')
  await closeAll(device, bare, peer)
}

// With MQTT's members in the same group: each message goes to one of all.
async function queueGroups (topic) {
  const [publisher, bare] = [await Device.open('other'), await Bare.open(topic)]
  const workers = await Promise.all([...Array(3)].map(() => Peer.open()))
  const got = new Queue()
  const shares = [0, 0, 0, 0]
  for (const [at, worker] of workers.entries()) {
    worker.nc.subscribe(subjectOf(topic), {
      queue: 'team',
      callback: (_, message) => { shares[at]++; got.put(message.string()) }
    })
    await worker.nc.flush()
  }
  const member = await Device.open(`$share/team/${topic}`)
  member.js.on('message', (_, payload) => { shares[3]++; got.put(payload.toString()) })
  const jobs = [...Array(120).keys()].map(number => `job ${number}`)
  for (const job of jobs.slice(0, 60)) await publisher.publish(topic, job)
  for (const job of jobs.slice(60)) bare.publish(job)
  const done = []
  while (done.length < jobs.length) done.push(await got.get('job'))
  assert.deepEqual(done.sort(), jobs.sort())
  assert.ok(shares.every(share => share > 0), `${shares}`)
  for (const worker of workers) await worker.nc.flush()
  assert.equal(got.items.length, 0)
  await closeAll(publisher, bare, member, ...workers)
}

async function requestReply (topic) {
  const subject = subjectOf(topic)
  const [helper, peer] = [await Peer.open(), await Peer.open()]
  await helper.answer(subject, message => message.string().toUpperCase())
  for (const options of [REQUEST, { ...REQUEST, noMux: true }]) {
    assert.equal((await peer.nc.request(subject, 'one', options)).string(), 'ONE')
    assert.equal((await peer.nc.request(subject, 'two', options)).string(), 'TWO')
  }
  await closeAll(helper, peer)
}

// A reply subject is the response topic, both ways.
async function requestOfMqtt (topic) {
  const subject = subjectOf(topic)
  const [device, answers, peer] = [await Device.open(topic), await Device.open(`${topic}/answer`), await Peer.open()]
  const answer = peer.nc.request(subject, '?', REQUEST)
  const asked = await device.expect(topic, '?')
  await device.publish(asked.properties.responseTopic, 'of MQTT')
  assert.equal((await answer).string(), 'of MQTT')
  await peer.answer(`${subject}.other`, () => 'of NATS')
  await device.publish(`${topic}/other`, '?', { responseTopic: `${topic}/answer` })
  await answers.expect(`${topic}/answer`, 'of NATS')
  await closeAll(device, answers, peer)
}

async function nobodyResponds (topic) {
  const peer = await Peer.open()
  for (const options of [REQUEST, { ...REQUEST, noMux: true }]) {
    const failed = await peer.nc.request(subjectOf(topic), '?', options).catch(error => error)
    assert.match(`${failed.name} ${failed.message}`, /no responders/i)
  }
  await peer.close()
}

async function headersBothWays (topic) {
  const subject = subjectOf(topic)
  const [device, peer] = [await Device.open(topic), await Peer.open()]
  const own = await peer.subscribe(subject)
  const block = headers()
  block.set('Colour', 'red')
  block.set('Content-Type', 'text/plain')
  block.append('Twice', '1')
  block.append('Twice', '2')
  peer.publish(subject, '1', { headers: block })
  const { properties } = await device.expect(topic, '1')
  assert.equal(properties.contentType, 'text/plain')
  assert.deepEqual({ ...properties.userProperties }, { Colour: 'red', Twice: ['1', '2'] })
  const echoed = (await expect(own, subject, '1')).headers
  assert.deepEqual([echoed.get('Colour'), echoed.get('Content-Type')], ['red', 'text/plain'])
  assert.deepEqual(echoed.values('Twice'), ['1', '2'])
  await device.publish(topic, '2', { contentType: 'image/png', userProperties: { Shape: 'round' } })
  const got = (await expect(own, subject, '2')).headers
  assert.deepEqual([got.get('Shape'), got.get('Content-Type')], ['round', 'image/png'])
  await closeAll(device, peer)
}

async function retained (topic) {
  const subject = subjectOf(topic)
  const peer = await Peer.open()
  const block = headers()
  block.set('Mqtt-Retain', '1')
  peer.publish(subject, 'kept', { headers: block })
  await peer.nc.flush()
  const message = await expect(await peer.subscribe(subject), subject, 'kept')
  assert.equal(message.headers.get('Mqtt-Retain'), '1')
  const device = await Device.open(topic)
  assert.equal((await device.expect(topic, 'kept')).retain, true)
  await closeAll(device, peer)
}

async function storedMessageIsAcknowledged (topic) {
  const subject = subjectOf(topic)
  const [device, bare, peer] = [await Device.open(topic), await Bare.open(topic), await Peer.open()]
  for (let number = 0; number < 3; number++) {
    const block = headers()
    block.set('Mqtt-QoS', '1')
    const answer = await peer.nc.request(subject, `keep ${number}`, { ...REQUEST, headers: block })
    assert.equal(answer.string(), '+OK')
    assert.equal((await device.expect(topic, `keep ${number}`)).qos, 1)
    await bare.expect(`keep ${number}`)
  }
  await closeAll(device, bare, peer)
}

async function unsubscribeAfterSome (topic) {
  const subject = subjectOf(topic)
  const [device, bare, peer] = [await Device.open('other'), await Bare.open(topic), await Peer.open()]
  const limited = await peer.subscribe(subject, { max: 3 })
  const openEnd = await peer.subscribe(subject)
  for (let number = 0; number < 3; number++) await device.publish(topic, `${number}`)
  for (let number = 3; number < 6; number++) bare.publish(`${number}`)
  for (let number = 0; number < 3; number++) await expect(limited, subject, `${number}`)
  for (let number = 0; number < 6; number++) await expect(openEnd, subject, `${number}`)
  await peer.expectNothing(limited)
  openEnd.subscription.unsubscribe()
  await peer.nc.flush()
  await device.publish(topic, 'after')
  await peer.expectNothing(openEnd)
  await closeAll(device, bare, peer)
}

// What came before is handled, and what was said is sent.
async function drain (topic) {
  const subject = subjectOf(topic)
  const [device, peer] = [await Device.open(`${topic}/out`), await Peer.open()]
  peer.nc.subscribe(subject, { callback: (_, message) => peer.publish(`${subject}.out`, message.data) })
  await peer.nc.flush()
  for (let number = 0; number < 50; number++) await device.publish(topic, `${number}`)
  await peer.nc.drain()
  for (let number = 0; number < 50; number++) await device.expect(`${topic}/out`, `${number}`)
  assert.ok(peer.nc.isClosed())
  await device.close()
}

async function orderOfMany (topic) {
  const subject = subjectOf(topic)
  const [device, bare, peer] = [await Device.open(topic), await Bare.open(topic), await Peer.open()]
  const own = await peer.subscribe(subject)
  for (let number = 0; number < 1000; number++) peer.publish(subject, `${number}`)
  for (let number = 0; number < 1000; number++) {
    await expect(own, subject, `${number}`)
    await device.expect(topic, `${number}`)
    await bare.expect(`${number}`)
  }
  await closeAll(device, bare, peer)
}

async function noEchoVerboseAndPedantic (topic) {
  const subject = subjectOf(topic)
  const [quiet, other] = [await Peer.open({ noEcho: true }), await Peer.open({ verbose: true, pedantic: true })]
  const [own, heard] = [await quiet.subscribe(subject), await other.subscribe(subject)]
  quiet.publish(subject, 'own')
  await expect(heard, subject, 'own')
  other.publish(subject, 'of another')
  await expect(own, subject, 'of another')
  await expect(heard, subject, 'of another')
  await quiet.expectNothing(own)
  await closeAll(quiet, other)
}

async function roundTripTime () {
  const peer = await Peer.open()
  assert.ok(await peer.nc.rtt() >= 0)
  assert.ok(peer.nc.info.max_payload >= LARGE_BYTES)
  await peer.close()
}

run('nats.js', [
  binaryAllWays, emptyAllWays, largeAllWays, wildcards, queueGroups, requestReply, requestOfMqtt, nobodyResponds,
  headersBothWays, retained, storedMessageIsAcknowledged, unsubscribeAfterSome, drain, orderOfMany,
  noEchoVerboseAndPedantic, roundTripTime
])
