// Visits a server. Arguments: its URL, and a file with the authority if it has TLS.
// In: messages as JSON. Out: echoes and what was seen, as JSON.

import { once } from "node:events";
import { readFileSync } from "node:fs";

import { FragmentingWebSocket } from "./fragmenting.mjs";
import { opened, visit } from "./visit.mjs";

const [url, authority] = process.argv.slice(2);
const options = authority ? { ca: readFileSync(authority) } : {};

async function connect() {
  const socket = await opened(new FragmentingWebSocket(url, options));
  socket.ping();
  await once(socket, "pong");
  return socket;
}

const messages = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await visit(connect, messages)));
