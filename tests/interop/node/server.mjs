// Echoes until it is terminated. Argument: a file with certificate and key for TLS.
// Out: the port, then a line of JSON about each connection that ended.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

import { WebSocketServer } from "ws";

import { FragmentingWebSocket } from "./fragmenting.mjs";

const [certificate] = process.argv.slice(2);
const pem = certificate && readFileSync(certificate);
const server = pem ? https.createServer({ cert: pem, key: pem }) : http.createServer();

new WebSocketServer({
  server,
  perMessageDeflate: true,
  WebSocket: FragmentingWebSocket,
}).on("connection", (socket) => {
  const compressed = socket.extensions.includes("permessage-deflate");
  socket.on("message", (data, isBinary) => answer(socket, isBinary ? data : `${data}`));
  socket.on("close", (code, reason) => tell({ compressed, code, reason: `${reason}` }));
});

async function answer(socket, message) {
  if (message === "ping me") {
    socket.ping();
    await once(socket, "pong");
    socket.send("pong seen");
  } else if (message === "close me") {
    socket.close(4002, "as agreed: fertig ✓");
  } else {
    socket.send(message);
  }
}

function tell(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

server.listen(0, "127.0.0.1", () => tell(server.address().port));
