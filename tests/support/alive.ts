// Finds what keeps this process alive: timers with their origin, connections with their peer.

import { createHook } from 'node:async_hooks';

/** The fields of Node's timers and handles that are read here; Node has no public list of either. */
interface Resource {
  hasRef?(): boolean;
  // of a timer
  _idleTimeout?: number;
  _destroyed?: boolean;
  _repeat?: number | null;
  // of a handle
  fd?: number;
  getpeername?(address: Address): number;
  getsockname?(address: Address): number;
  // of a process
  pid?: number;
}

interface Address {
  address?: string;
  port?: number;
}

interface Made {
  type: string;
  resource: WeakRef<Resource>;
  by: Error;
}

const kinds: Record<string, string> = {
  Timeout: 'timer',
  TCPWRAP: 'connection',
  PIPEWRAP: 'pipe',
  TCPSERVERWRAP: 'server',
  PIPESERVERWRAP: 'server on a socket file',
  PROCESSWRAP: 'process',
  FSEVENTWRAP: 'watch of a file or folder',
  UDPWRAP: 'UDP socket',
  WORKER: 'worker thread',
  MESSAGEPORT: 'message port',
  GETADDRINFOREQWRAP: 'name lookup',
};

const ownFile = new URL(import.meta.url).pathname;
const framesKept = 30;
const framesShown = 6;

const made = new Map<number, Made>();

const hook = createHook({
  init(id, type, _, resource: Resource) {
    if (!(type in kinds)) return;
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = framesKept; // the program's frames are below those of Node
    made.set(id, { type, resource: new WeakRef(resource), by: new Error() });
    Error.stackTraceLimit = limit;
  },
  destroy: (id) => void made.delete(id),
  trackPromises: false, // they are many, and do not keep a process alive
});

/** A timer or handle that keeps this process alive. */
export interface Living {
  kind: string;
  /** its kind, and below it its origin */
  text: string;
}

/** Starts to record timers and handles. @returns a function that lists those that keep this process alive */
export function watchResources(): () => Living[] {
  hook.enable();
  const before = new Set(made.keys());
  return () =>
    [...made].flatMap(([id, { type, resource, by }]) => {
      const live = resource.deref();
      if (before.has(id) || !live?.hasRef?.() || live._destroyed || isStandardStream(live) || isOfTestRunner(by))
        return [];
      const kind = kinds[type]!;
      return [{ kind, text: `${kind}${detailOf(live)}\n${callersOf(by)}` }];
    });
}

function isStandardStream({ fd = -1 }: Resource): boolean {
  return fd >= 0 && fd <= 2;
}

/** Whether Node made it to stay alive until the tests have ended. */
function isOfTestRunner(by: Error): boolean {
  return callersOf(by) === '' && by.stack!.includes('node:internal/test_runner/');
}

function detailOf(resource: Resource): string {
  if (resource._idleTimeout !== undefined)
    return ` of ${resource._idleTimeout} ms${resource._repeat ? ', repeated' : ''}`;
  if (resource.pid !== undefined) return ` ${resource.pid}`;
  const [peer, own]: [Address, Address] = [{}, {}];
  resource.getpeername?.(peer);
  if (peer.address !== undefined) return ` to ${peer.address}:${peer.port}`;
  resource.getsockname?.(own);
  return own.address === undefined ? '' : ` at ${own.address}:${own.port}`;
}

function callersOf({ stack = '' }: Error): string {
  const frames = stack.split('\n').slice(1);
  const own = frames.filter(
    (frame) => !frame.includes(ownFile) && !/\((node:|<anonymous>)|at (async )?node:/.test(frame),
  );
  return own.slice(0, framesShown).join('\n');
}
