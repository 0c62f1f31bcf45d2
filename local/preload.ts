// Preloaded into services by `npm start`; the query of its address says what for.
//
// `standby`: the service takes the place of a running one. It starts while the other one still answers, as a replica of it, and
// listens when the runner says that the port is free. What cannot be started ends this process, and the other one goes on.
//
// `inspect`: opens the port for debuggers that --inspect-port says. With Node's own --inspect, the port would stay taken while
// the service drains, and an attached debugger would hold up its end.
import { once } from 'node:events';
import inspector from 'node:inspector';
import { Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const wanted = new URL(import.meta.url).searchParams;

/** Lets servers listen only when the other process has left. */
function standBy(): void {
  const { listen } = Server.prototype;
  let turn: Promise<void> | undefined;
  Server.prototype.listen = function (this: Server, ...args: unknown[]) {
    turn ??= untilTurn().then(() => void (Server.prototype.listen = listen));
    void turn.then(() => Reflect.apply(listen, this, args));
    return this;
  };
}

async function untilTurn(): Promise<void> {
  // Without its parent nobody would ever tell it to go on; later, the service itself sees to that.
  if (!process.connected) process.exit();
  process.send?.('started');
  await once(process, 'message');
  if (wanted.has('inspect')) openToDebuggers();
}

function openToDebuggers(): void {
  inspector.open();
  process.once('exit', () => inspector.close());
  process.once('SIGTERM', () => {
    inspector.close();
    // Before the service listens for the signal itself, this listener stands in for Node's default.
    if (process.listenerCount('SIGTERM') === 0) process.exit();
  });
}

// Threads of the service are given its preloads as well.
if (isMainThread) {
  if (wanted.has('standby')) standBy();
  else openToDebuggers();
}
