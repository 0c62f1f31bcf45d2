import { getJson } from './api.js';

/** Pages that nobody looks at ask for nothing. */
const visible = () => document.visibilityState === 'visible';

/**
 * Keeps a panel up to date: asks at an interval, at once when told to (but not more often than `minMs`), with longer pauses
 * while the answer is an error, and never twice at the same time.
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
 * What a panel says when its service fails: instead of the data, or, once there was some, below it.
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
