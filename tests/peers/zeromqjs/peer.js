// A socket of zeromq.js on standard input and output, with the flags of `posthouse zmq`.
// It runs where zeromq.js is installed, which is not where it lies.
import { createRequire } from "node:module"
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"

const zmq = createRequire(process.cwd() + "/")("zeromq")

const KINDS = {
  push: zmq.Push, pull: zmq.Pull, pub: zmq.XPublisher, sub: zmq.Subscriber,
  req: zmq.Request, rep: zmq.Reply, pair: zmq.Pair,
}

const text = { type: "string" }
const { values: flags, positionals: [kind] } = parseArgs({
  allowPositionals: true,
  options: {
    bind: text, connect: { type: "string", multiple: true, default: [] },
    subscribe: { type: "string", multiple: true, default: [] }, peers: { type: "string", default: "0" },
    echo: { type: "boolean" },
    "plain-username": text, "plain-password": text, "plain-server": { type: "boolean" },
    "curve-public-key": text, "curve-secret-key": text, "curve-server-key": text,
    "curve-server": { type: "boolean" },
  },
})
const socket = new KINDS[kind]({ linger: 30_000 })
const set = (option, value) => { if (value !== undefined) socket[option] = value }
if (flags["plain-server"]) {
  await letIn(flags["plain-username"], flags["plain-password"])
  set("plainServer", true)
} else {
  set("plainUsername", flags["plain-username"])
  set("plainPassword", flags["plain-password"])
}
if (flags["curve-server"]) set("curveServer", true)
set("curvePublicKey", flags["curve-public-key"])
set("curveSecretKey", flags["curve-secret-key"])
set("curveServerKey", flags["curve-server-key"])
if (flags.bind) {
  await socket.bind(flags.bind.replace(/:0$/, ":*"))
  console.error("listening on " + socket.lastEndpoint)
}
for (const endpoint of flags.connect) socket.connect(endpoint)

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

// libzmq has a PLAIN server ask whoever answers here.
async function letIn(username, password) {
  const handler = new zmq.Reply()
  await handler.bind("inproc://zeromq.zap.01")
  const answer = async () => {
    for await (const [version, request, , , , , user, word] of handler) {
      const status = user.toString() === username && word.toString() === password ? "200" : "400"
      await handler.send([version, request, status, "", "", ""])
    }
  }
  answer()
}

async function send(after = async () => {}) {
  for (let line; !(line = await lines.next()).done;) {
    await socket.send(line.value)
    await after()
  }
}

async function print() {
  for await (const [message] of socket) console.log(message.toString())
}

switch (kind) {
  case "push":
    await send()
    break
  case "pub":
    for (let subscribed = 0; subscribed < Number(flags.peers);) {
      const [subscription] = await socket.receive()
      subscribed += subscription[0]
    }
    await send()
    break
  case "req":
    await send(async () => console.log((await socket.receive()).toString()))
    break
  case "rep":
    for await (const [request] of socket) {
      console.log(request.toString())
      await socket.send(flags.echo ? request : (await lines.next()).value)
    }
    break
  case "pair":
    await Promise.all([send(), print()])
    break
  case "sub":
    socket.subscribe(...(flags.subscribe.length ? flags.subscribe : [""]))
  // falls through
  case "pull":
    await print()
}
socket.close()
