#!/usr/bin/env node
// The demo page, and pages of other origins, in a headless Chromium: node chromium_client.js SCREENSHOT.png
//
// Whoever starts it runs the broker: it prints `START ORIGIN` and reads `STARTED MQTT_PORT WS_PORT`
// once a broker that admits this origin listens on 127.0.0.1, after the first time on the same
// ports; it prints `STOP` and reads `STOPPED`. Each check talks with mqtt.js on TCP, both ways.
// Prints a line per check and exits 1 if one failed. Every wait is for an event, with a deadline.
'use strict'

const assert = require('node:assert/strict')
const http = require('node:http')
const readline = require('node:readline')
const mqtt = require('mqtt')
const { chromium } = require('playwright-core')
const { DEADLINE_MS, Queue, run } = require('./checks')

const [screenshot] = process.argv.slice(2)
const FLOOD = { perSecond: 10_000, seconds: 5, topic: 'demo/flood' }
const FRAME_GAP_MS = 2000 // what a person calls frozen, also where other work holds the processors
const broker = { lines: new Queue() }
const consoleErrors = []
let browser, page, admitted, stranger

async function main () {
  readline.createInterface({ input: process.stdin }).on('line', line => broker.lines.put(line))
  admitted = await emptyPages()
  stranger = await emptyPages()
  await start()
  browser = await chromium.launch({
    executablePath: process.env.RINGBUS_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
  })
  page = await browser.newPage({ viewport: { width: 1280, height: 860 } })
  page.setDefaultTimeout(DEADLINE_MS)
  page.on('console', message => message.type() === 'error' && consoleErrors.push(message.text()))
  page.on('pageerror', error => consoleErrors.push(String(error)))
  await run('chromium', [
    connectsByItself, roundTrip, retainedFromThePage, markupIsText, binaryIsHex, unsubscribes, wrongInputIsExplained,
    bareSocketOfThePage, nothingWasWrong, strangersAreRefused, admittedOriginsAreNot, flood, looks, reconnects
  ], () => browser.close())
}

async function start () {
  console.log(`START ${admitted.origin}`)
  const [word, mqttPort, wsPort] = (await broker.lines.get('STARTED')).split(' ')
  assert.equal(word, 'STARTED')
  Object.assign(broker, { mqttPort, wsPort, http: `http://127.0.0.1:${wsPort}`, ws: `ws://127.0.0.1:${wsPort}` })
}

async function stop () {
  console.log('STOP')
  assert.equal(await broker.lines.get('STOPPED'), 'STOPPED')
}

// A server of empty pages: an origin of its own.
async function emptyPages () {
  const server = http.createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end('<!doctype html><title>another site</title>')
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return { origin: `http://127.0.0.1:${server.address().port}` }
}

// An MQTT client on TCP that is subscribed to a filter.
async function device (filter) {
  const js = await mqtt.connectAsync({ host: '127.0.0.1', port: broker.mqttPort, protocolVersion: 5, reconnectPeriod: 0 })
  js.messages = new Queue()
  js.on('message', (topic, payload, packet) => js.messages.put([topic, payload.toString(), packet]))
  await js.subscribeAsync(filter, { qos: 1 })
  return js
}

const state = name => page.locator(`#state[data-state=${name}]`).waitFor()
// The newest row of the list that has this topic and payload.
const row = (topic, payload) => page.locator('#messages tr')
  .filter({ has: page.locator('.topic').getByText(topic, { exact: true }) })
  .filter({ has: page.locator('pre').getByText(payload, { exact: true }) })
  .first()
const text = (selector, wanted) => page.locator(selector, { hasText: wanted }).waitFor()

async function publishInPage (topic, payload, { qos = '1', retain = false } = {}) {
  await page.getByLabel('Topic', { exact: true }).fill(topic)
  await page.getByLabel('QoS of the message').selectOption(qos)
  await page.getByLabel('Retain').setChecked(retain)
  await page.getByLabel('Payload').fill(payload)
  await page.getByLabel('Payload').press('Control+Enter')
}

async function connectsByItself () {
  await page.goto(`${broker.http}/demo`)
  await state('connected')
  assert.equal(await page.getByLabel('Broker').inputValue(), `${broker.ws}/mqtt`)
  // Until its note is gone the subscription is not active.
  await text('#filters li', /^demo\/#×$/)
}

async function roundTrip () {
  const other = await device('demo/out')
  for (const qos of [0, 1]) {
    await publishInPage('demo/out', `grüße ${qos}`, { qos: String(qos) })
    const [topic, payload, packet] = await other.messages.get('message of the page')
    assert.deepEqual([topic, payload, packet.qos], ['demo/out', `grüße ${qos}`, qos])
    assert.equal(packet.properties.payloadFormatIndicator, true)
    await row('demo/out', `grüße ${qos}`).waitFor()
    await other.publishAsync('demo/in', `zurück ${qos}`, { qos })
    await row('demo/in', `zurück ${qos}`).waitFor()
  }
  await text('#outcome', 'accepted')
  await other.endAsync()
}

async function retainedFromThePage () {
  await publishInPage('demo/kept', 'stays', { retain: true })
  await text('#outcome', 'accepted')
  const late = await device('demo/kept')
  const [, payload, packet] = await late.messages.get('retained message')
  assert.deepEqual([payload, packet.retain], ['stays', true])
  await publishInPage('demo/kept', '', { retain: true })
  await late.messages.get('the empty one')
  await late.endAsync()
}

async function markupIsText () {
  const markup = '<script>window.owned = 1</script><img src=x onerror="window.owned = 2"><b>bold</b>'
  const other = await device('unused')
  await other.publishAsync('demo/markup', markup, { qos: 1 })
  await other.publishAsync('demo/<b>topic</b>', markup, { qos: 1 })
  await row('demo/markup', markup).waitFor()
  await row('demo/<b>topic</b>', markup).waitFor()
  assert.equal(await page.evaluate(() => window.owned), undefined)
  assert.equal(await page.locator('#messages :is(script, img, b)').count(), 0)
  await other.endAsync()
}

async function binaryIsHex () {
  const other = await device('unused')
  await other.publishAsync('demo/binary', Buffer.from([0, 1, 0xfe, 0xff]), { qos: 1 })
  await row('demo/binary', '00 01 fe ff').waitFor()
  await other.publishAsync('demo/long', 'ä'.repeat(2000), { qos: 1 })
  await row('demo/long', 'ä'.repeat(512)).getByText('3.9 KiB').waitFor()
  await other.endAsync()
}

async function unsubscribes () {
  const other = await device('unused')
  await page.getByLabel('Topic filter').fill('else/+')
  await page.getByLabel('Topic filter').press('Enter')
  await text('#filters li', /^else\/\+×$/)
  await other.publishAsync('else/where', 'heard', { qos: 1 })
  await row('else/where', 'heard').waitFor()
  await page.getByRole('button', { name: 'Unsubscribe else/+' }).click()
  // It goes when the UNSUBACK has come.
  await page.locator('#filters li', { hasText: 'else/+' }).waitFor({ state: 'detached' })
  await other.publishAsync('else/where', 'not heard', { qos: 1 })
  await other.publishAsync('demo/fence', 'after', { qos: 1 })
  await row('demo/fence', 'after').waitFor()
  assert.equal(await row('else/where', 'not heard').count(), 0)
  await other.endAsync()
}

async function wrongInputIsExplained () {
  await page.getByLabel('Topic filter').fill('wrong/#/filter')
  await page.getByLabel('Topic filter').press('Enter')
  await text('#filters li.bad', 'not a topic filter')
  await page.getByRole('button', { name: 'Unsubscribe wrong/#/filter' }).click()
  await publishInPage('demo/#', 'x')
  await text('#outcome.bad', 'not sent')
  await state('connected')
}

async function bareSocketOfThePage () {
  const other = await device('chat/room')
  const echoed = page.evaluate(url => new Promise((resolve, reject) => {
    const bare = new WebSocket(url)
    bare.onopen = () => bare.send('hello from a page')
    bare.onmessage = ({ data }) => { resolve(data); bare.close() }
    bare.onerror = () => reject(new Error('refused'))
  }), `${broker.ws}/chat/room`)
  assert.equal((await other.messages.get('message'))[1], 'hello from a page')
  assert.equal(await echoed, 'hello from a page')
  await other.endAsync()
}

// Neither a script error nor anything that the content security policy had to stop.
async function nothingWasWrong () { assert.deepEqual(consoleErrors, []) }

// What becomes of a socket that a page of this origin opens.
async function openedFrom (origin, protocols) {
  const foreign = await browser.newPage()
  try {
    await foreign.goto(origin)
    return await foreign.evaluate(([url, protocols]) => new Promise(resolve => {
      const socket = new WebSocket(url, protocols)
      socket.onopen = () => { socket.send('from another site'); socket.close(); resolve('open') }
      socket.onerror = () => resolve('refused')
    }), [`${broker.ws}/chat/foreign`, protocols])
  } finally {
    await foreign.close()
  }
}

async function strangersAreRefused () {
  for (const protocols of [[], ['mqtt'], ['v12.stomp']]) {
    assert.equal(await openedFrom(stranger.origin, protocols), 'refused', `as ${protocols}`)
  }
}

async function admittedOriginsAreNot () {
  const other = await device('chat/foreign')
  assert.equal(await openedFrom(admitted.origin, []), 'open')
  assert.equal((await other.messages.get('message of the admitted page'))[1], 'from another site')
  await other.endAsync()
}

// Ten thousand a second leave the page alive, and it counts them all.
async function flood () {
  const count = FLOOD.perSecond * FLOOD.seconds
  await page.getByRole('button', { name: 'Clear' }).click()
  await page.evaluate(() => {
    window.longestGap = 0
    let last = performance.now()
    const frame = now => {
      window.longestGap = Math.max(window.longestGap, now - last)
      last = now
      window.watch = requestAnimationFrame(frame)
    }
    window.watch = requestAnimationFrame(frame)
  })
  const elapsed = await publishAtRate(count)
  await page.locator('#received').getByText(count.toLocaleString('en-US'), { exact: true }).waitFor()
  const { gap, rows, skipped } = await page.evaluate(() => {
    cancelAnimationFrame(window.watch)
    return {
      gap: window.longestGap,
      rows: document.querySelectorAll('#messages tr').length,
      skipped: Number(document.querySelector('#skipped').textContent.replace(/\D/g, ''))
    }
  })
  console.log(`${count} messages in ${(elapsed / 1000).toFixed(1)} s, longest frame ${gap.toFixed(0)} ms, ${skipped} not shown`)
  assert.ok(elapsed < FLOOD.seconds * 1500, `the load was not held: ${elapsed} ms`)
  assert.ok(gap < FRAME_GAP_MS, `no frame for ${gap} ms`)
  assert.ok(rows <= 200 && skipped > 0 && skipped < count, `${rows} rows, ${skipped} not shown`)
}

// Encoded once and written as they are due, so that the load costs the browser no time.
async function publishAtRate (count) {
  const other = await device('unused')
  const payload = 'x'.repeat(32)
  const rest = Buffer.from(`\0${String.fromCharCode(FLOOD.topic.length)}${FLOOD.topic}\0${payload}`)
  const one = Buffer.concat([Buffer.from([0x30, rest.length]), rest]) // a PUBLISH at QoS 0, no properties
  const began = performance.now()
  for (let sent = 0; sent < count;) {
    const due = Math.min(count, Math.ceil((performance.now() - began) / 1000 * FLOOD.perSecond))
    if (due > sent && !other.stream.write(Buffer.concat(Array(due - sent).fill(one)))) {
      await new Promise(resolve => other.stream.once('drain', resolve))
    }
    sent = Math.max(sent, due)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  const elapsed = performance.now() - began
  // Answered when all before it has been read.
  await other.publishAsync('unused', '', { qos: 1 })
  await other.endAsync()
  return elapsed
}

async function looks () {
  await page.screenshot({ path: screenshot, fullPage: true })
}

async function reconnects () {
  await stop()
  await state('waiting')
  await text('#state', /reconnecting in \d+ s/)
  await publishInPage('demo/lost', 'x') // by the keyboard: the button is off
  await text('#outcome.bad', 'not connected')
  await start()
  await state('connected')
  await text('#filters li', /^demo\/#×$/)
  const other = await device('demo/out')
  await publishInPage('demo/out', 'back again')
  assert.equal((await other.messages.get('message of the page'))[1], 'back again')
  await other.publishAsync('demo/in', 'subscribed again', { qos: 1 })
  await row('demo/in', 'subscribed again').waitFor()
  await other.endAsync()
}

main().catch(error => { console.log(`FAILED chromium: ${error.stack}`); process.exit(1) })
