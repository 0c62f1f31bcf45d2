import type { Clock } from './clock.ts';

/** The lines of a stream of UTF-8. The last line is left out where its end is missing. */
export async function* splitLines(stream: AsyncIterable<Uint8Array>, onChunk: () => void): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    onChunk();
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
      if (end > start) yield rest.slice(start, end);
      start = end + 1;
    }
    rest = rest.slice(start);
  }
}

interface SilenceGuard {
  /** aborts with the outer signal, or after a silence */
  signal: AbortSignal;
  /** to be called for each chunk that arrives */
  heard: () => void;
  /** whether a silence was too long */
  silent: () => boolean;
  /** ends the guard, and the connection if it is still open */
  end: () => void;
}

/** Aborts a connection that brings nothing for `silenceMs`. */
export function silenceGuard(silenceMs: number, outer: AbortSignal, clock: Clock): SilenceGuard {
  const controller = new AbortController();
  let silent = false;
  const listen = () =>
    clock.after(silenceMs, () => {
      silent = true;
      controller.abort();
    });
  let cancel = listen();
  const abort = () => controller.abort(outer.reason);
  if (outer.aborted) abort();
  else outer.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    heard() {
      cancel();
      cancel = listen();
    },
    silent: () => silent,
    end() {
      cancel();
      outer.removeEventListener('abort', abort);
      controller.abort(); // closes the connection where the reader of a watch stops early
    },
  };
}
