/** The lines of a stream of UTF-8, without their ends; a last one without an end is cut off and left out. */
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
  /** aborts when the outer signal does, or after a silence */
  signal: AbortSignal;
  /** to be called for each sign of life */
  heard: () => void;
  silent: () => boolean;
  end: () => void;
}

/** Aborts what has shown no sign of life for some milliseconds. */
export function silenceGuard(silenceMs: number, outer: AbortSignal): SilenceGuard {
  const controller = new AbortController();
  let silent = false;
  const timer = setTimeout(() => {
    silent = true;
    controller.abort();
  }, silenceMs);
  const abort = () => controller.abort(outer.reason);
  if (outer.aborted) abort();
  else outer.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    heard: () => void timer.refresh(),
    silent: () => silent,
    end() {
      clearTimeout(timer);
      outer.removeEventListener('abort', abort);
      controller.abort(); // closes the connection of a watch that is left early
    },
  };
}
