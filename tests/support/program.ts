import { describeError } from '#local/fault.ts';
import { listenForStop, type StopRequests } from '#local/signals.ts';

/** Runs a program of the tests: `main` gets its arguments and the requests to stop, and returns the exit code. */
export async function runProgram(main: (args: string[], requests: StopRequests) => Promise<number>): Promise<void> {
  const requests = listenForStop();
  try {
    process.exitCode = await main(process.argv.slice(2), requests);
  } catch (error) {
    console.error(describeError(error));
    process.exitCode = 1;
  } finally {
    requests.release();
  }
}

/**
 * Runs a program of the tests that has a lot to put back when it is stopped: `main` gets its arguments and a signal, and returns whether
 * all is well. A second request to stop ends it at once.
 */
export async function runStoppable(main: (args: string[], signal: AbortSignal) => Promise<boolean>): Promise<void> {
  const requests = listenForStop();
  const stopping = new AbortController();
  void requests.first.then((reason) => stopping.abort(new Error(`stopped (${reason})`)));
  void requests.second.then(() => process.exit(130));
  try {
    process.exitCode = (await main(process.argv.slice(2), stopping.signal)) ? 0 : 1;
  } catch (error) {
    console.error(stopping.signal.aborted ? String(stopping.signal.reason) : describeError(error));
    process.exitCode = stopping.signal.aborted ? 130 : 1;
  } finally {
    requests.release();
  }
}
