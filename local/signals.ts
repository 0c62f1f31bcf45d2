/** Requests to end this process. */
export interface StopRequests {
  /** Resolves with the reason when the process is asked to stop. */
  first: Promise<string>;
  /** Resolves when it is asked again. */
  second: Promise<void>;
  /** Removes the listeners, so that the process can end. */
  release(): void;
}

/** One Ctrl-C arrives up to three times: from the terminal, from npm and from start.mjs. */
const SAME_KEYSTROKE_MS = 400;

/** Listens for Ctrl-C, SIGTERM, a closed terminal and the end of the process that started us. */
export function listenForStop(now: () => number = Date.now): StopRequests {
  const first = Promise.withResolvers<string>();
  const second = Promise.withResolvers<void>();
  let since: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    since ??= now();
    first.resolve(signal);
    if (now() - since > SAME_KEYSTROKE_MS) second.resolve();
  };
  const onDisconnect = (): void => first.resolve('the parent process has ended');
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  if (process.connected) process.once('disconnect', onDisconnect);
  return {
    first: first.promise,
    second: second.promise,
    release: () => {
      for (const signal of signals) process.off(signal, onSignal);
      process.off('disconnect', onDisconnect);
      if (process.connected) process.disconnect();
    },
  };
}
