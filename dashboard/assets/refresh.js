import { getJson } from './api.js';

/** A hidden page sends no requests. */
const visible = () => document.visibilityState === 'visible';

/**
 * Keeps a panel up to date: polls at an interval, at once on request (but not more often than `minMs`), and with longer
 * pauses after errors. It has at most one request in flight.
 *
 * @param {{path: string, everyMs: number, minMs?: number, show: (data: any) => void, fail: (error: Error) => void}} options
 * @returns {() => void} asks soon
 */
export function refresh({ path, everyMs, minMs = 1_000, show, fail }) {
  let timer = 0;
  let busy = false;
  let again = false;
  let askedAt = -Infinity;
  let failures = 0;

  async function ask() {
    if (busy || !visible()) return;
    busy = true;
    again = false;
    askedAt = performance.now();
    try {
      show(await getJson(path));
      failures = 0;
    } catch (error) {
      failures += 1;
      fail(/** @type {Error} */ (error));
    }
    busy = false;
    plan(again ? minMs : everyMs * Math.min(2 ** Math.max(0, failures - 1), 4));
  }

  /** @param {number} inMs */
  function plan(inMs) {
    clearTimeout(timer);
    timer = setTimeout(ask, inMs);
  }

  function soon() {
    again = true;
    if (!busy) plan(Math.max(0, askedAt + minMs - performance.now()));
  }

  document.addEventListener('visibilitychange', () => {
    if (visible()) soon();
  });
  void ask();
  return soon;
}

/**
 * Shows a failure in a panel: in place of the data, or below existing data.
 *
 * @param {HTMLElement} panel
 * @param {(title: string, detail?: string) => Node} note
 */
export function failing(panel, note) {
  return (/** @type {Error} */ error) => {
    const old = panel.querySelector('.stale');
    if (panel.dataset['loaded'] === undefined) {
      panel.replaceChildren(note(error.message, 'The page keeps trying.'));
    } else if (old) {
      old.textContent = `${error.message}. This is the latest that is known.`;
    } else {
      const stale = document.createElement('p');
      stale.className = 'stale';
      stale.textContent = `${error.message}. This is the latest that is known.`;
      panel.append(stale);
    }
  };
}
