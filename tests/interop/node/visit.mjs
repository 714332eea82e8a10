// The client's side of the conversation, for browsers and Node.js alike.
// In: a function that connects, and messages. Out: the echoes, and what was seen.

const REASON = "as agreed: fertig ✓";

export async function visit(connect, messages) {
  const first = await connect();
  const echoes = [];
  for (const message of messages) {
    echoes.push(encode(await ask(first, decode(message))));
  }
  if ((await ask(first, "ping me")) !== "pong seen") {
    throw new Error("no pong was seen");
  }
  const byServer = closed(first);
  first.send("close me");
  const seen = [await byServer];
  const second = await connect();
  const byClient = closed(second);
  second.close(4001, REASON);
  seen.push(await byClient);
  return { echoes, seen };
}

export function opened(socket) {
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket);
    socket.onclose = reject;
  });
}

function ask(socket, message) {
  return new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => resolve(data);
    socket.onclose = reject;
    socket.send(message);
  });
}

function closed(socket) {
  const compressed = socket.extensions.includes("permessage-deflate");
  return new Promise((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ compressed, code, reason });
  });
}

// JSON has no bytes.

function decode({ text, binary }) {
  return text ?? Uint8Array.from(atob(binary), (character) => character.charCodeAt(0));
}

function encode(message) {
  if (typeof message === "string") {
    return { text: message };
  }
  const bytes = Array.from(new Uint8Array(message), (byte) => String.fromCharCode(byte));
  return { binary: btoa(bytes.join("")) };
}
