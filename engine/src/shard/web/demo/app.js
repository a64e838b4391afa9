// The demo page: an MQTT 5 client on a WebSocket, a capped list of messages and a chart of the rate.
// What peers sent reaches the page as text nodes only.
'use strict'

const ROWS_MAX = 200 // in the list, and waiting for it
const ROWS_PER_FRAME = 25 // more nobody can read, and layout would hold up the socket
const PAYLOAD_BYTES_SHOWN = 1024
const CHART_SECONDS = 60
const BACK_OFF_MS = { first: 500, most: 30_000 }
const CONNACK_MS = 10_000
const PINGRESP_MS = 20_000
const KEEP_ALIVE_SECONDS = 180 // hidden pages run timers once a minute

addEventListener('DOMContentLoaded', () => {
  const messages = new Messages()
  const rate = new Rate()
  const client = new Client({
    message (message) { messages.add(message); rate.count() },
    state: showState,
    filters: filters => showFilters(client, filters)
  })
  wire(client)
  const draw = () => { messages.draw(); rate.draw(); requestAnimationFrame(draw) }
  draw()
})

// ---- the page

const at = id => document.getElementById(id)

function wire (client) {
  const connect = () => client.connect(at('url').value.trim())
  onSubmit('connection', connect)
  at('disconnect').addEventListener('click', () => client.disconnect())
  onSubmit('subscribe', () => client.subscribe(at('filter').value))
  onSubmit('publish', () => client.publish({
    topic: at('topic').value, text: at('payload').value, qos: Number(at('qos').value), retain: at('retain').checked
  }, showOutcome))
  at('payload').addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) at('publish').requestSubmit()
  })
  at('url').value = `${location.protocol.replace('http', 'ws')}//${location.host}/mqtt`
  client.subscribe('demo/#')
  connect()
}

function onSubmit (form, action) {
  at(form).addEventListener('submit', event => { event.preventDefault(); action() })
}

function showState (state, text) {
  at('state').dataset.state = state
  if (at('state').textContent !== text) at('state').textContent = text
  at('connect').disabled = state === 'connected' || state === 'connecting'
  at('connect').textContent = state === 'waiting' ? 'Connect now' : 'Connect'
  at('disconnect').disabled = state === 'offline' || state === 'refused'
  at('send').disabled = state !== 'connected'
}

function showOutcome (text, bad = false) {
  at('outcome').textContent = text
  at('outcome').className = bad ? 'bad' : ''
}

function showFilters (client, filters) {
  at('filters').replaceChildren(...[...filters].map(([filter, { note, bad }]) => {
    const item = element('li', bad ? 'bad' : '')
    const remove = element('button', '', '×')
    remove.ariaLabel = `Unsubscribe ${filter}`
    remove.addEventListener('click', () => client.unsubscribe(filter))
    item.append(element('span', '', filter + note), remove)
    return item
  }))
}

function element (name, className, text = '') {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}

// ---- the list

// Counts every message; keeps the last few for the next frames, which show as many as they can.
class Messages {
  received = 0
  taken = 0 // of the received ones: those shown or passed over
  shown = 0
  ring = new Array(ROWS_MAX)
  paused = false
  changed = true

  constructor () {
    at('pause').addEventListener('click', () => {
      this.paused = !this.paused
      at('pause').ariaPressed = String(this.paused)
      at('pause').textContent = this.paused ? 'Paused' : 'Pause'
    })
    at('clear').addEventListener('click', () => this.clear())
  }

  add (message) {
    this.ring[this.received++ % ROWS_MAX] = message
    this.changed = true
  }

  clear () {
    this.received = this.taken = this.shown = 0
    this.changed = true
    at('messages').replaceChildren()
  }

  draw () {
    if (!this.changed) return
    const body = at('messages')
    this.taken = Math.max(this.taken, this.received - ROWS_MAX)
    const until = this.paused ? this.taken : Math.min(this.received, this.taken + ROWS_PER_FRAME)
    for (; this.taken < until; this.taken++, this.shown++) {
      const row = body.rows.length < ROWS_MAX ? newRow() : body.lastElementChild
      fillRow(row, this.ring[this.taken % ROWS_MAX])
      body.prepend(row)
    }
    this.changed = this.taken < this.received && !this.paused
    at('received').textContent = this.received.toLocaleString()
    at('skipped').textContent = (this.received - this.shown).toLocaleString()
    at('empty').hidden = body.rows.length > 0
  }
}

function newRow () {
  const row = element('tr', '')
  const payload = element('td', 'payload')
  payload.append(element('pre', ''), element('div', 'note'))
  row.append(element('td', 'time'), element('td', 'topic'), payload, element('td', 'size'))
  return row
}

function fillRow (row, message) {
  const [time, topic, payload, size] = row.cells
  time.textContent = clock.format(message.time)
  topic.textContent = message.topic
  const { text, kind } = readable(message)
  payload.firstChild.textContent = text
  payload.lastChild.textContent = [
    kind, message.retain && 'retained', message.size > PAYLOAD_BYTES_SHOWN && `first ${PAYLOAD_BYTES_SHOWN} bytes`
  ].filter(Boolean).join(' · ')
  size.textContent = sizeText(message.size)
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false
})

// Text if it says so or reads as such, else hexadecimal.
function readable ({ payload, size, text }) {
  if (size === 0) return { text: '', kind: 'empty' }
  try {
    // What was cut off may end within a character.
    const decoded = new TextDecoder('utf-8', { fatal: true }).decode(payload, { stream: payload.length < size })
    // eslint-disable-next-line no-control-regex
    if (text || !/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(decoded)) return { text: decoded, kind: '' }
  } catch { /* it is not UTF-8 */ }
  return { text: Array.from(payload, byte => byte.toString(16).padStart(2, '0')).join(' '), kind: 'hex' }
}

function sizeText (bytes) {
  for (const unit of ['B', 'KiB']) {
    if (bytes < 1024) return `${+bytes.toFixed(1)} ${unit}`
    bytes /= 1024
  }
  return `${bytes.toFixed(1)} MiB`
}

// ---- the chart

// Messages of each of the last seconds.
class Rate {
  counts = new Array(CHART_SECONDS + 1).fill(0) // the last one is of the running second
  second = Math.floor(performance.now() / 1000)
  drawn = ''

  count () { this.turn(); this.counts[CHART_SECONDS]++ }

  turn () {
    const now = Math.floor(performance.now() / 1000)
    for (let passed = Math.min(now - this.second, this.counts.length); passed > 0; passed--) {
      this.counts.shift()
      this.counts.push(0)
    }
    this.second = now
  }

  draw () {
    this.turn()
    const canvas = at('chart')
    const style = getComputedStyle(canvas)
    const [width, height] = [canvas.clientWidth, canvas.clientHeight]
    const key = [this.second, width, height, devicePixelRatio, style.color].join()
    if (key === this.drawn) return
    this.drawn = key
    const counts = this.counts.slice(0, CHART_SECONDS)
    const peak = Math.max(...counts)
    at('rate').textContent = counts.at(-1).toLocaleString()
    at('peak').textContent = peak.toLocaleString()
    paint(canvas, width, height, counts, Math.max(4, peak + peak % 2))
  }
}

function paint (canvas, width, height, counts, top) {
  canvas.width = width * devicePixelRatio
  canvas.height = height * devicePixelRatio
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name)
  const pen = canvas.getContext('2d')
  const [left, right, above, below] = [46, width - 4, 8, height - 20]
  pen.scale(devicePixelRatio, devicePixelRatio)
  pen.font = '11px system-ui, sans-serif'
  pen.textBaseline = 'middle'
  pen.textAlign = 'right'
  for (const part of [0, 0.5, 1]) {
    const y = Math.round(below - part * (below - above)) + 0.5
    pen.fillStyle = colour('--line')
    pen.fillRect(left, y, right - left, 1)
    pen.fillStyle = colour('--dim')
    pen.fillText(compact.format(top * part), left - 8, y)
  }
  pen.fillText('now', right, height - 7)
  pen.textAlign = 'left'
  pen.fillText(`${CHART_SECONDS} s ago`, left, height - 7)
  const step = (right - left) / counts.length
  counts.forEach((count, second) => {
    const tall = Math.max(count && 1.5, count / top * (below - above))
    pen.fillStyle = colour('--accent')
    pen.fillRect(left + second * step + 1, below - tall, Math.max(step - 2, 1), tall)
  })
}

const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 })

// ---- MQTT 5

const PACKET = {
  CONNECT: 1, CONNACK: 2, PUBLISH: 3, PUBACK: 4, SUBSCRIBE: 8, SUBACK: 9, UNSUBSCRIBE: 10, UNSUBACK: 11, PINGREQ: 12, PINGRESP: 13, DISCONNECT: 14
}
// Refusals that pass by themselves (unavailable, busy, shutting down, rates, quota); all others would come again.
const PASSING = [0x88, 0x89, 0x8b, 0x8d, 0x96, 0x97, 0x9f]
const [FORMAT_INDICATOR, SUBSCRIPTION_IDENTIFIER, SERVER_KEEP_ALIVE, REASON_STRING, USER_PROPERTY] = [0x01, 0x0b, 0x13, 0x1f, 0x26]
// Bytes of properties that are numbers, [MQTT5 2.2.2.2]; the rest are of two bytes of length and as many as it says.
const NUMBER_BYTES = {
  0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2a: 1
}

// A connection that is opened again when it is lost, with its subscriptions.
class Client {
  filters = new Map()
  unanswered = new Map() // by packet identifier
  identifier = 0
  failures = 0
  socket = null
  timers = []

  constructor (page) { this.page = page; page.state('offline', 'not connected') }

  connect (url) {
    this.url = url
    this.failures = 0
    this.open()
  }

  disconnect () {
    if (this.isUp) this.send(PACKET.DISCONNECT << 4)
    this.drop()
    this.page.state('offline', 'not connected')
  }

  subscribe (filter) {
    const valid = !/[^/][+#]|[+#][^/]|#\//.test(filter)
    this.filters.set(filter, valid ? { note: ' …' } : { note: ' (not a topic filter)', bad: true })
    if (this.isUp && valid) this.sendSubscribe(filter)
    this.page.filters(this.filters)
  }

  unsubscribe (filter) {
    const asked = this.filters.get(filter)
    const remove = () => {
      if (this.filters.get(filter) === asked) this.filters.delete(filter)
      this.page.filters(this.filters)
    }
    if (!this.isUp || asked.bad) return remove()
    this.send(PACKET.UNSUBSCRIBE << 4 | 2, u16(this.expect(remove, remove)), [0], string(filter))
  }

  publish ({ topic, text, qos, retain }, outcome) {
    if (!this.isUp) return outcome('not sent: not connected', true)
    if (/[+#\0]/.test(topic)) return outcome('not sent: a topic to publish to has no + or #', true)
    const identifier = qos && this.expect((code, text) => {
      if (code < 0x80) outcome(code === 0x10 ? 'accepted, nobody is subscribed' : 'accepted by the broker')
      else outcome(`refused: ${reasonText(code, text)}`, true)
    }, () => outcome('the connection was lost before an answer', true))
    this.send(PACKET.PUBLISH << 4 | qos << 1 | retain, string(topic), qos ? u16(identifier) : [],
      [2, FORMAT_INDICATOR, 1], new TextEncoder().encode(text))
    if (!qos) outcome('sent')
  }

  // ---- the connection

  open () {
    this.drop()
    this.page.state('connecting', 'connecting …')
    this.wasOpen = this.isUp = false
    this.why = ''
    this.input = new Input()
    let socket
    try {
      socket = new WebSocket(this.url, 'mqtt')
    } catch (error) { // not a URL, or one that this page may not use
      return this.page.state('refused', error.message)
    }
    this.socket = socket
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => { this.wasOpen = true; this.sendConnect() }
    socket.onmessage = ({ data }) => this.guard(() => this.receive(data))
    socket.onclose = ({ code, reason: text }) => this.lost(code, text)
    this.after(CONNACK_MS, () => this.isUp || this.lost(0, 'no answer'))
  }

  drop () {
    this.timers.forEach(clearTimeout)
    this.timers = []
    this.isUp = false
    if (this.socket) {
      this.socket.onopen = this.socket.onmessage = this.socket.onclose = null // nothing of it counts any more
      this.socket.close(1000)
      this.socket = null
    }
    for (const { lost } of this.unanswered.values()) lost()
    this.unanswered.clear()
  }

  lost (code, text) {
    this.drop()
    if (!this.why && !this.wasOpen) this.why = 'no broker there, or it refuses pages of this origin'
    const why = this.why || text || (code === 1001 ? 'the broker shut down' : 'connection lost')
    const most = Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** this.failures++)
    // Half of it by chance, so that clients of a restarted broker do not come all at once.
    const due = Date.now() + most * (0.5 + Math.random() / 2)
    const wait = () => {
      const left = Math.ceil((due - Date.now()) / 1000)
      if (left <= 0) return this.open()
      this.page.state('waiting', `reconnecting in ${left} s: ${why}`)
      this.after(Math.min(250, due - Date.now()), wait)
    }
    wait()
  }

  refuse (code, text) {
    this.why = reasonText(code, text)
    if (PASSING.includes(code)) return this.lost(0, '')
    this.drop()
    this.page.state('refused', `refused: ${this.why}`)
  }

  after (milliseconds, action) { this.timers.push(setTimeout(action, milliseconds)) }

  // A peer that breaks the protocol is left, as if the connection had broken.
  guard (action) {
    try {
      action()
    } catch (error) {
      console.error(error)
      this.lost(0, `not understood: ${error.message}`)
    }
  }

  // ---- packets out

  send (first, ...parts) {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    const packet = [first, ...varint(length)]
    const bytes = new Uint8Array(packet.length + length)
    let offset = 0
    for (const part of [packet, ...parts]) { bytes.set(part, offset); offset += part.length }
    this.socket.send(bytes)
  }

  sendConnect () {
    const name = `demo-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`
    const cleanStart = 2
    this.send(PACKET.CONNECT << 4, string('MQTT'), [5, cleanStart], u16(KEEP_ALIVE_SECONDS), [0], string(name))
  }

  sendSubscribe (filter) {
    const asked = this.filters.get(filter)
    const identifier = this.expect((code, text) => {
      asked.bad = code >= 0x80
      asked.note = asked.bad ? ` ${reasonText(code, text)}` : ''
      this.page.filters(this.filters)
    })
    this.send(PACKET.SUBSCRIBE << 4 | 2, u16(identifier), [0], string(filter), [1])
  }

  expect (answered, lost = () => {}) {
    do this.identifier = this.identifier % 0xffff + 1; while (this.unanswered.has(this.identifier))
    this.unanswered.set(this.identifier, { answered, lost })
    return this.identifier
  }

  ping (milliseconds) {
    this.after(milliseconds, () => {
      this.send(PACKET.PINGREQ << 4)
      const sent = this.socket
      this.alive = false
      this.after(PINGRESP_MS, () => sent === this.socket && !this.alive && this.lost(0, 'the broker is silent'))
      this.ping(milliseconds)
    })
  }

  // ---- packets in

  receive (data) {
    if (typeof data === 'string') throw new Error('a text frame')
    this.alive = true
    this.input.push(new Uint8Array(data))
    const socket = this.socket
    for (let packet; socket === this.socket && (packet = this.input.packet());) this.take(packet)
  }

  take ({ first, body }) {
    switch (first >> 4) {
      case PACKET.PUBLISH: return this.takePublish(first, body)
      case PACKET.CONNACK: return this.takeConnack(body)
      case PACKET.PUBACK: return this.takeAnswer(body, false)
      case PACKET.SUBACK:
      case PACKET.UNSUBACK: return this.takeAnswer(body, true)
      case PACKET.PINGRESP: return
      case PACKET.DISCONNECT: return this.refuse(body.left && body.byte(), body.left && body.properties().get(REASON_STRING))
      default: throw new Error(`packet type ${first >> 4}`)
    }
  }

  takeConnack (body) {
    body.byte()
    const code = body.byte()
    const properties = body.left ? body.properties() : new Map()
    if (code) return this.refuse(code, properties.get(REASON_STRING))
    this.isUp = true
    this.failures = 0
    this.page.state('connected', 'connected')
    for (const [filter, { bad }] of this.filters) if (!bad) this.sendSubscribe(filter)
    const keepAlive = properties.get(SERVER_KEEP_ALIVE) ?? KEEP_ALIVE_SECONDS
    if (keepAlive) this.ping(keepAlive * 1000 / 3)
  }

  takePublish (first, body) {
    const qos = first >> 1 & 3
    const topic = body.string()
    const identifier = qos ? body.u16() : 0
    const text = body.properties().get(FORMAT_INDICATOR) === 1
    const payload = body.rest()
    if (qos === 1) this.send(PACKET.PUBACK << 4, u16(identifier))
    // A copy of what is shown: a view would keep the whole frame.
    const head = payload.slice(0, PAYLOAD_BYTES_SHOWN)
    this.page.message({ time: Date.now(), topic, payload: head, size: payload.length, text, retain: (first & 1) === 1 })
  }

  // Properties stand before the reason code, or behind it in a PUBACK.
  takeAnswer (body, before) {
    const identifier = body.u16()
    let properties = before ? body.properties() : NO_PROPERTIES
    const code = body.left ? body.byte() : 0
    if (body.left && !before) properties = body.properties()
    this.unanswered.get(identifier)?.answered(code, properties.get(REASON_STRING))
    this.unanswered.delete(identifier)
  }
}

const reasonText = (code, text) => `${text ? utf8.decode(text) : 'reason code'} (0x${code.toString(16)})`
const u16 = number => [number >> 8, number & 255]

function string (text) {
  const bytes = new TextEncoder().encode(text)
  return [...u16(bytes.length), ...bytes]
}

function varint (number) {
  const bytes = []
  do bytes.push(number & 127 | (number > 127 ? 128 : 0)); while (number >>= 7)
  return bytes
}

// Bytes of frames, in which packets begin and end anywhere.
class Input {
  bytes = new Uint8Array()

  push (more) {
    const { bytes } = this
    if (bytes.length === 0) return (this.bytes = more)
    this.bytes = new Uint8Array(bytes.length + more.length)
    this.bytes.set(bytes)
    this.bytes.set(more, bytes.length)
  }

  // The next packet that is complete.
  packet () {
    const { bytes } = this
    for (let at = 1, length = 0; at < bytes.length; at++) {
      length += (bytes[at] & 127) * 128 ** (at - 1)
      if (at > 4) throw new Error('a length of five bytes')
      if (bytes[at] & 128) continue
      const end = at + 1 + length
      if (bytes.length < end) break
      this.bytes = bytes.subarray(end)
      return { first: bytes[0], body: new Reader(bytes.subarray(at + 1, end)) }
    }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
const NO_PROPERTIES = new Map()

// A packet's fields, in order.
class Reader {
  constructor (bytes) { this.bytes = bytes; this.offset = 0 }

  get left () { return this.bytes.length - this.offset }

  bytesOf (length) {
    if (length > this.left) throw new Error('a packet that ends early')
    this.offset += length
    return this.bytes.subarray(this.offset - length, this.offset)
  }

  byte () { return this.bytesOf(1)[0] }
  u16 () { return this.byte() << 8 | this.byte() }
  rest () { return this.bytesOf(this.left) }
  string () { return utf8.decode(this.bytesOf(this.u16())) }

  varint () {
    let number = 0
    for (let shift = 0, digit = 128; digit & 128; shift += 7) {
      digit = this.byte()
      number |= (digit & 127) << shift
    }
    return number
  }

  properties () {
    const length = this.varint()
    if (length === 0) return NO_PROPERTIES
    const inner = new Reader(this.bytesOf(length))
    const found = new Map()
    while (inner.left) { const id = inner.varint(); found.set(id, inner.property(id)) }
    return found
  }

  property (id) {
    if (id === SUBSCRIPTION_IDENTIFIER) return this.varint()
    if (id === USER_PROPERTY) return [this.string(), this.string()]
    const number = NUMBER_BYTES[id]
    if (number) return this.bytesOf(number).reduce((sum, byte) => sum * 256 + byte, 0)
    return this.bytesOf(this.u16())
  }
}
