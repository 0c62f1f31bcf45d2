import { request } from './api.js';

/**
 * Reads a `text/event-stream` (HTML Living Standard, 9.2.6) part by part.
 *
 * @param {(event: {type: string, data: string, id: string}) => void} onEvent
 * @returns {(text: string) => void} takes the next part of the stream
 */
export function eventParser(onEvent) {
  let rest = '';
  let id = '';
  let type = '';
  /** @type {string[]} */
  let data = [];

  /** @param {string} line */
  function take(line) {
    if (line === '') {
      if (data.length > 0) onEvent({ type: type || 'message', data: data.join('\n'), id });
      type = '';
      data = [];
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') data.push(value);
    else if (field === 'event') type = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
  }

  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  };
}

const firstPauseMs = 500;
const maxPauseMs = 15_000;
/** The service sends a heartbeat every 15 s: a stream that is silent for longer is dead. */
const silenceMs = 40_000;

/**
 * Follows an event stream while the page is open: reconnects with growing pauses, and resumes after the last event. It uses
 * fetch, because EventSource cannot send a token and does not report why a connection failed.
 *
 * @param {string} path
 * @param {{onEvent: (event: {type: string, data: string, id: string}) => void, onState: (state: 'live' | 'waiting', reason?: string) => void}} handlers
 */
export async function follow(path, { onEvent, onState }) {
  let lastId = '';
  let pause = firstPauseMs;
  for (;;) {
    const abort = new AbortController();
    let reason = 'The stream ended';
    try {
      const headers = { accept: 'text/event-stream', ...(lastId && { 'last-event-id': lastId }) };
      const response = await request(path, { headers, signal: abort.signal, cache: 'no-store' });
      onState('live');
      pause = firstPauseMs;
      await read(response, abort, (event) => {
        lastId = event.id || lastId;
        onEvent(event);
      });
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
      const wanted = /** @type {{retryAfter?: number}} */ (error).retryAfter;
      if (wanted !== undefined) pause = Math.max(pause, wanted * 1000);
    }
    onState('waiting', reason);
    await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
    pause = Math.min(pause * 2, maxPauseMs);
  }
}

/**
 * @param {Response} response
 * @param {AbortController} abort
 * @param {(event: {type: string, data: string, id: string}) => void} onEvent
 */
async function read(response, abort, onEvent) {
  const parse = eventParser(onEvent);
  const reader = /** @type {ReadableStream} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
  const silent = () => abort.abort(new Error('The stream was silent'));
  let timer = setTimeout(silent, silenceMs);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(silent, silenceMs);
      parse(value);
    }
  } finally {
    clearTimeout(timer);
  }
}
