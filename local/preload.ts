// `npm start` preloads this file into services; the query of its address selects a mode.
//
// `standby`: the service replaces a running one. It starts as a replica while the other one still answers, and listens when
// the runner says that the port is free. If it cannot start, this process ends, and the other one continues.
//
// `inspect`: opens the port of --inspect-port for debuggers. With Node's own --inspect, the port would be in use while
// the service drains, and an attached debugger would delay its end.
import { once } from 'node:events';
import inspector from 'node:inspector';
import { Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const wanted = new URL(import.meta.url).searchParams;

/** Lets servers listen only after the other process has released its port. */
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
  // Without its parent it would wait for ever; later, the service itself handles that.
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
    // Until the service listens for the signal, this listener replaces Node's default.
    if (process.listenerCount('SIGTERM') === 0) process.exit();
  });
}

// Threads of the service preload this file, too.
if (isMainThread) {
  if (wanted.has('standby')) standBy();
  else openToDebuggers();
}
