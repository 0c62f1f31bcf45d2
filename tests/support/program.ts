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
