// The thread that ends a test file whose event loop is blocked when its time is over: the main thread's own timer cannot fire.

import { writeSync } from 'node:fs';
import { Session } from 'node:inspector';
import type { Debugger, InspectorNotification } from 'node:inspector';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';

/** The data of the thread. */
export interface Watched {
  /** the first file; a message is the next one */
  file: string;
  /** when the file's time is over, in nanoseconds of `process.hrtime`; the main thread may change it, and notifies then */
  deadline: BigInt64Array<SharedArrayBuffer>;
}

/** How long after the deadline the main thread may still end the process itself. */
const slackMs = 2_000;
/** How long the main thread may take to stop where it is, and then to exit. */
const answerMs = 5_000;
const framesShown = 10;

const { file, deadline } = workerData as Watched;

function untilOver(): void {
  for (;;) {
    const seen = Atomics.load(deadline, 0);
    const left = Number(seen - process.hrtime.bigint()) / 1e6 + slackMs;
    if (left <= 0) return;
    Atomics.wait(deadline, 0, seen, left);
  }
}

/** Prints the stack of the main thread, wherever it is, and lets it exit from there. */
function endFromOutside(): void {
  const session = new Session();
  const urls = new Map<string, string>();
  const lineOf = ({ functionName, location }: Debugger.CallFrame) => {
    const { scriptId, lineNumber, columnNumber = 0 } = location;
    return `    at ${functionName || '<anonymous>'} (${urls.get(scriptId)}:${lineNumber + 1}:${columnNumber + 1})`;
  };
  const kill = () => process.kill(process.pid, 'SIGKILL');
  const late = setTimeout(() => {
    say(['    outside of JavaScript, as execFileSync and readSync are']);
    kill();
  }, answerMs);

  session.connectToMainThread();
  session.on('Debugger.scriptParsed', ({ params }: InspectorNotification<Debugger.ScriptParsedEventDataType>) => {
    urls.set(params.scriptId, params.url);
  });
  session.once('Debugger.paused', ({ params }: InspectorNotification<Debugger.PausedEventDataType>) => {
    clearTimeout(late);
    say(params.callFrames.slice(0, framesShown).map(lineOf));
    setTimeout(kill, answerMs); // where what listens for the exit blocks as well
    session.post('Runtime.evaluate', { expression: 'process.exit(1)' });
  });
  session.post('Debugger.enable');
  session.post('Debugger.pause');
}

/** The file that runs now. */
function currentFile(): string {
  let current = file;
  for (;;) {
    const next = receiveMessageOnPort(parentPort!);
    if (!next) return current;
    current = next.message as string;
  }
}

function say(lines: string[]): void {
  writeSync(2, `${lines.join('\n')}\n`); // a thread's own process.stderr writes by way of the main thread
}

untilOver();
say([`${currentFile()} was ended: its event loop was blocked when its time was over. It was here:`]);
endFromOutside();
