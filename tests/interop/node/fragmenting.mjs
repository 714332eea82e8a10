// A WebSocket that sends one certain text in fragments.

import { WebSocket } from "ws";

export class FragmentingWebSocket extends WebSocket {
  send(data, ...rest) {
    if (data === "fragments") {
      super.send("frag", { fin: false });
      super.send("men", { fin: false });
      super.send("ts", { fin: true });
    } else {
      super.send(data, ...rest);
    }
  }
}
