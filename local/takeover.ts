import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join, relative } from 'node:path';

import { errorCode, Fault } from './fault.ts';
import type { Running, Start } from './supervised.ts';
import { LineSplitter } from './log-format.ts';
import { untilPortFree } from './ports.ts';
import { endOrphan, runningPid, waitUntilGone } from './process.ts';

/** The information that a run with `--only` needs to run the service of another run. */
export interface LaunchSettings {
  port: number;
  env: Record<string, string>;
}

type Answer = LaunchSettings | { refused: string };

/** Longer than the drain of a service. */
const STOP_WITHIN_MS = 10_000;

/**
 * The socket of the run on a data folder. Only its user may connect to it. Systems limit the length of socket paths, so the
 * path is relative if that is shorter.
 */
function socketOf(data: string): string {
  const path = join(data, 'runner.sock');
  const short = relative(process.cwd(), path);
  return short.length < path.length ? short : path;
}

/** A service that can be taken over. */
export interface Takable extends LaunchSettings {
  name: string;
  pidFile: string;
}

/**
 * Lets other runs take over services. The other run keeps a connection while it has the service. When the run ends for any
 * reason, the connection closes, and this run starts the service again.
 */
export class Takeovers {
  readonly #services: () => readonly Takable[];
  readonly #onChange: (service: string, isTaken: boolean) => void;
  readonly #server: Server;
  readonly #takers = new Map<string, Socket>();

  /**
   * @param services those that can be taken over
   * @param onChange told when another run asks for a service, which must then be restarted with `startTaken`, and when it
   * has given the service back
   */
  constructor(services: () => readonly Takable[], onChange: (service: string, isTaken: boolean) => void) {
    this.#services = services;
    this.#onChange = onChange;
    this.#server = createServer((socket) => this.#onConnection(socket));
  }

  /** @param data the folder whose holder this process is */
  async listen(data: string): Promise<void> {
    const path = socketOf(data);
    rmSync(path, { force: true });
    this.#server.listen(path);
    await once(this.#server, 'listening');
    chmodSync(path, 0o600);
  }

  close(): void {
    this.#server.close();
  }

  isTaken(service: string): boolean {
    return this.#takers.has(service);
  }

  /** Ends our process of a service that is taken over, and lets the other run start its own. */
  async startTaken(service: string, { signal, replaceOld }: Start): Promise<Running> {
    const taker = this.#takers.get(service);
    const own = this.#services().find(({ name }) => name === service);
    if (!taker || !own) throw new Error(`${service} is not taken over`);
    const { port, env, pidFile } = own;
    const kill = (): void => void endOrphan(pidFile, 'SIGKILL', 0);
    const stop = async (): Promise<void> => {
      taker.end(); // The other run then stops the service; if that run was killed, the service ends by itself.
      const pid = runningPid(pidFile);
      if (pid !== undefined && !(await waitUntilGone(pid, STOP_WITHIN_MS))) kill();
    };
    const running = { died: new Promise<never>(() => undefined), stop, kill };
    signal.throwIfAborted();
    const old = replaceOld?.(running);
    await untilPortFree(port, service, () => old?.kill());
    signal.throwIfAborted();
    taker.write(lineOf({ port, env }));
    return running;
  }

  #onConnection(socket: Socket): void {
    // A run that ends without a message has returned its service, too, and does not delay our end.
    socket.on('error', () => undefined).unref();
    onceLine(socket, (service) => {
      const refused = this.#reasonAgainst(service);
      if (refused !== undefined) return void socket.end(lineOf({ refused }));
      this.#takers.set(service, socket);
      socket.once('close', () => {
        this.#takers.delete(service);
        this.#onChange(service, false);
      });
      this.#onChange(service, true);
    });
  }

  #reasonAgainst(service: string): string | undefined {
    if (this.isTaken(service)) return `Another npm start -- --only ${service} has that service already.`;
    if (this.#services().some(({ name }) => name === service)) return undefined;
    return `The Millrace that runs there has no service ${service}.`;
  }
}

function lineOf(answer: Answer): string {
  return `${JSON.stringify(answer)}\n`;
}

/** Calls back with the first line that arrives. */
function onceLine(socket: Socket, onLine: (line: string) => void): void {
  const splitter = new LineSplitter((line) => {
    socket.off('data', push);
    onLine(line);
  });
  const push = (text: string): void => splitter.push(text);
  socket.setEncoding('utf8').on('data', push);
}

/** A service that was taken over. */
export interface Taken extends LaunchSettings {
  /** Resolves when the other run has ended. */
  lost: Promise<void>;
  giveBack(): void;
}

/**
 * Asks the run on a data folder for one of its services; resolves when this run may start it.
 * @throws Fault if no platform runs there, or it refuses
 */
export async function takeOver(data: string, service: string, signal: AbortSignal): Promise<Taken> {
  const socket = connect(socketOf(data));
  const lost = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  try {
    await once(socket, 'connect', { signal });
    const answered = new Promise<string>((resolve) => onceLine(socket, resolve));
    socket.write(`${service}\n`);
    const line = await Promise.race([answered, lost, once(signal, 'abort')]);
    if (typeof line !== 'string')
      throw signal.aborted ? signal.reason : new Fault(`The Millrace on ${data} has ended.`);
    const answer = JSON.parse(line) as Answer;
    if ('refused' in answer) throw new Fault(answer.refused);
    return { ...answer, lost, giveBack: () => socket.destroy() };
  } catch (error) {
    socket.destroy();
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ECONNREFUSED') throw error;
    const hint = 'Start it first, in another terminal: npm start';
    throw new Fault(`No Millrace is up on the data in ${data}.`, { hint, cause: error });
  }
}
