// What the checks in JavaScript share: events that are waited for, and a line per check.
'use strict'

const DEADLINE_MS = 20_000

// Events that arrived and promises that wait for one.
class Queue {
  constructor () { this.items = []; this.waiting = [] }

  put (item) {
    const waiter = this.waiting.shift()
    waiter ? waiter(item) : this.items.push(item)
  }

  get (what) {
    if (this.items.length > 0) return Promise.resolve(this.items.shift())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what} in time`)), DEADLINE_MS)
      this.waiting.push(item => { clearTimeout(timer); resolve(item) })
    })
  }
}

// Runs functions by their names, then what cleans up, and exits 1 if one failed.
async function run (label, checks, cleanUp = () => {}) {
  let failed = 0
  for (const check of checks) {
    try {
      await check(check.name)
      console.log(`ok     ${label} ${check.name}`)
    } catch (error) {
      failed++
      console.log(`FAILED ${label} ${check.name}: ${error.stack}`)
    }
  }
  await cleanUp()
  process.exit(failed > 0 ? 1 : 0)
}

module.exports = { DEADLINE_MS, Queue, run }
