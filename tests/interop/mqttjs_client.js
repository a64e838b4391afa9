#!/usr/bin/env node
// Drives a broker with mqtt.js: node mqttjs_client.js HOST PORT [4|5 ...]
// Prints a line per check and exits 1 if one failed. Every wait is for an event, with a deadline.
// With the port of a WebSocket listener in RINGBUS_WS_PORT, all checks run over WebSocket, then with
// publishers there and the others on TCP, then the other way round; RINGBUS_WS_ONLY=1 leaves the
// mixed ones out.
'use strict'

const assert = require('node:assert/strict')
const mqtt = require('mqtt')
const { Queue } = require('./checks')

const [host, port, ...versions] = process.argv.slice(2)
const webSocketPort = process.env.RINGBUS_WS_PORT
const publishes = clientId => /[p13579]$/.test(clientId)
const WAYS = webSocketPort
  ? { ws: () => true, 'ws to tcp': publishes, 'tcp to ws': clientId => !publishes(clientId) }
  : { tcp: () => false }
if (process.env.RINGBUS_WS_ONLY) for (const way in WAYS) if (way !== 'ws') delete WAYS[way]
let overWebSocket

class Client {
  constructor (version, clientId, options) {
    this.messages = new Queue()
    this.disconnects = new Queue()
    this.closes = new Queue()
    this.js = mqtt.connect({
      ...(overWebSocket(clientId) ? { protocol: 'ws', port: webSocketPort, path: '/mqtt' } : { port }),
      host,
      clientId,
      protocolVersion: version,
      reconnectPeriod: 0,
      ...options
    })
    this.js.on('message', (topic, payload, packet) => this.messages.put({ topic, payload, packet }))
    this.js.on('disconnect', packet => this.disconnects.put(packet))
    this.js.on('close', () => this.closes.put(true))
    this.js.on('error', () => {}) // it shows as a missing connack or as a close
  }

  static async open (version, clientId, options = {}) {
    const client = new Client(version, clientId, options)
    const connected = new Queue()
    client.js.on('connect', packet => connected.put(packet))
    client.sessionPresent = (await connected.get('CONNACK')).sessionPresent
    return client
  }

  subscribe (filter, options) { return this.js.subscribeAsync(filter, options) }
  publish (topic, payload, options) { return this.js.publishAsync(topic, payload, options) }
  message () { return this.messages.get('message') }

  async expect (topic, payload, qos, retain = false) {
    const got = await this.message()
    assert.deepEqual(
      [got.topic, got.payload.toString(), got.packet.qos, got.packet.retain],
      [topic, payload, qos, retain])
    return got.packet
  }

  close () { return this.js.endAsync() }

  // Ends the network connection without DISCONNECT.
  async cut () { this.js.stream.destroy(); await this.closes.get('close') }
}

async function qosBothWays (version, name) {
  const subscriber = await Client.open(version, name + 's')
  const publisher = await Client.open(version, name + 'p')
  for (const granted of [0, 1, 2]) {
    const topic = `${name}/qos/${granted}`
    const [grant] = await subscriber.subscribe(topic, { qos: granted })
    assert.equal(grant.qos, granted)
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, `${qos} to ${granted}`, { qos })
      await subscriber.expect(topic, `${qos} to ${granted}`, Math.min(qos, granted))
    }
  }
  await subscriber.close(); await publisher.close()
}

async function orderAndCount (version, name) {
  const subscriber = await Client.open(version, name + 's')
  const publisher = await Client.open(version, name + 'p')
  for (const qos of [0, 1, 2]) {
    const topic = `${name}/order/${qos}`
    await subscriber.subscribe(topic, { qos })
    const sent = []
    for (let n = 0; n < 100; n++) sent.push(publisher.publish(topic, String(n), { qos }))
    for (let n = 0; n < 100; n++) await subscriber.expect(topic, String(n), qos)
    await Promise.all(sent)
  }
  await subscriber.close(); await publisher.close()
}

// Eight clients, eight topics, all to all: with several shards most of it crosses them.
async function manyToMany (version, name) {
  const numbers = [...Array(8).keys()]
  const clients = await Promise.all(numbers.map(n => Client.open(version, name + n)))
  for (const client of clients) await client.subscribe(`${name}/many/#`, { qos: 1 })
  await Promise.all(clients.map((c, n) => c.publish(`${name}/many/${n}`, String(n), { qos: 1 })))
  for (const client of clients) {
    const got = []
    for (const _ of numbers) got.push((await client.message()).topic)
    assert.deepEqual(got.sort(), numbers.map(n => `${name}/many/${n}`))
    await client.close()
  }
}

async function sharedSubscription (version, name) {
  const members = await Promise.all([1, 2, 3].map(n => Client.open(version, name + n)))
  for (const member of members) await member.subscribe(`$share/group/${name}/job/+`, { qos: 1 })
  const got = []
  const all = members.map(async member => {
    for (let n = 0; n < 10; n++) got.push((await member.message()).topic)
  })
  const numbers = [...Array(30).keys()]
  for (const n of numbers) await members[0].publish(`${name}/job/${n}`, '', { qos: 1 })
  await Promise.all(all)
  assert.deepEqual(got.sort(), numbers.map(n => `${name}/job/${n}`).sort())
  for (const member of members) await member.close()
}

async function largePayload (version, name) {
  const client = await Client.open(version, name)
  const payload = 'ab'.repeat(150_000)
  for (const qos of [0, 1, 2]) {
    await client.subscribe(`${name}/large`, { qos })
    await client.publish(`${name}/large`, payload, { qos })
    await client.expect(`${name}/large`, payload, qos)
  }
  await client.close()
}

async function retained (version, name) {
  const publisher = await Client.open(version, name + 'p')
  const subscriber = await Client.open(version, name + 's')
  for (const qos of [0, 1, 2]) {
    const topic = `${name}/retained/${qos}`
    await publisher.publish(topic, 'old', { qos, retain: true })
    await publisher.publish(topic, 'new', { qos, retain: true })
    // At QoS 0 nothing says that they arrived: an acknowledgement behind them does, on a topic of
    // the same shard.
    await publisher.publish(`${name}/retained/fence`, '', { qos: 1 })
    await subscriber.subscribe(topic, { qos: 2 })
    await subscriber.expect(topic, 'new', qos, true)
    await publisher.publish(topic, '', { qos, retain: true })
    await subscriber.expect(topic, '', qos, false)
  }
  const late = await Client.open(version, name + 'l')
  await late.subscribe(`${name}/#`, { qos: 1 })
  await publisher.publish(`${name}/fence`, 'fence', { qos: 1 })
  await late.expect(`${name}/fence`, 'fence', 1)
  await publisher.close(); await subscriber.close(); await late.close()
}

async function wills (version, name) {
  const watcher = await Client.open(version, name + 'w')
  await watcher.subscribe(`${name}/will/#`, { qos: 2 })
  for (const qos of [0, 1, 2]) {
    const topic = `${name}/will/${qos}`
    const will = { topic, payload: Buffer.from('gone'), qos, retain: false }
    await (await Client.open(version, name + 'cut', { will })).cut()
    await watcher.expect(topic, 'gone', qos)
    await (await Client.open(version, name + 'polite', { will })).close()
    await watcher.publish(topic, 'fence', { qos })
    await watcher.expect(topic, 'fence', qos)
  }
  await watcher.close()
}

async function persistentSession (version, name) {
  const keep = version === 5
    ? { clean: false, properties: { sessionExpiryInterval: 600 } }
    : { clean: false }
  const first = await Client.open(version, name + 's', keep)
  assert.equal(first.sessionPresent, false)
  await first.subscribe(`${name}/kept/+`, { qos: 2 })
  await first.close()
  const publisher = await Client.open(version, name + 'p')
  for (let n = 0; n < 20; n++) {
    await publisher.publish(`${name}/kept/topic`, String(n), { qos: 1 + Math.floor(n / 10) })
  }
  const second = new Client(version, name + 's', keep)
  const connected = new Queue()
  second.js.on('connect', packet => connected.put(packet))
  assert.equal((await connected.get('CONNACK')).sessionPresent, true)
  for (let n = 0; n < 20; n++) {
    await second.expect(`${name}/kept/topic`, String(n), 1 + Math.floor(n / 10))
  }
  await second.close()
  const third = await Client.open(version, name + 's')
  assert.equal(third.sessionPresent, false)
  await third.close(); await publisher.close()
}

async function takeover (version, name) {
  const first = await Client.open(version, name)
  const second = await Client.open(version, name)
  if (version === 5) {
    const { reasonCode } = await first.disconnects.get('DISCONNECT')
    assert.equal(reasonCode, 0x8e)
  }
  await first.closes.get('close')
  await second.subscribe(`${name}/alive`, { qos: 1 })
  await second.publish(`${name}/alive`, 'yes', { qos: 1 })
  await second.expect(`${name}/alive`, 'yes', 1)
  await second.close()
}

async function wildcardsAndDollarTopics (version, name) {
  const client = await Client.open(version, name)
  const publisher = await Client.open(version, name + 'p')
  await client.subscribe('#', { qos: 1 })
  await publisher.publish(`$interop/${name}`, 'hidden', { qos: 1 })
  await publisher.publish(`${name}//b`, 'seen', { qos: 1 })
  await client.expect(`${name}//b`, 'seen', 1)
  await client.js.unsubscribeAsync('#')
  await client.subscribe(`${name}/+/b`, { qos: 1 })
  await publisher.publish(`${name}/x/c`, 'unwanted', { qos: 1 })
  await publisher.publish(`${name}/x/b`, 'wanted', { qos: 1 })
  await client.expect(`${name}/x/b`, 'wanted', 1)
  await client.close(); await publisher.close()
}

async function v5PropertiesPass (version, name) {
  const client = await Client.open(version, name)
  await client.subscribe(`${name}/props`, { qos: 1, properties: { subscriptionIdentifier: 321 } })
  const properties = {
    userProperties: { a: ['1', '2'], b: 'é' },
    contentType: 'text/plain',
    responseTopic: `${name}/reply`,
    correlationData: Buffer.from([0, 1, 255]),
    payloadFormatIndicator: true,
    messageExpiryInterval: 100
  }
  await client.publish(`${name}/props`, 'text', { qos: 1, properties })
  const got = { ...(await client.expect(`${name}/props`, 'text', 1)).properties }
  assert.ok(got.messageExpiryInterval > 0 && got.messageExpiryInterval <= 100)
  assert.equal(got.subscriptionIdentifier, 321)
  for (const key of ['contentType', 'responseTopic', 'correlationData', 'payloadFormatIndicator']) {
    assert.deepEqual(got[key], properties[key], key)
  }
  assert.deepEqual({ ...got.userProperties }, properties.userProperties)
  await client.close()
}

const CHECKS = [
  qosBothWays, orderAndCount, manyToMany, largePayload, retained, wills, persistentSession,
  takeover, wildcardsAndDollarTopics, sharedSubscription
]

async function main () {
  let failed = 0
  for (const version of versions.length > 0 ? versions.map(Number) : [4, 5]) {
    for (const [way, isWebSocket] of Object.entries(WAYS)) {
      overWebSocket = isWebSocket
      for (const check of version === 5 ? [...CHECKS, v5PropertiesPass] : CHECKS) {
        try {
          await check(version, `js${check.name}${version}`)
          console.log(`ok     mqtt.js ${version} ${way} ${check.name}`)
        } catch (error) {
          failed++
          console.log(`FAILED mqtt.js ${version} ${way} ${check.name}: ${error.message}`)
        }
      }
    }
  }
  process.exit(failed > 0 ? 1 : 0)
}

main()
