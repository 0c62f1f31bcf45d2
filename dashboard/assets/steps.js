import { el } from './dom.js';

/**
 * One step: waiting, then done or failed.
 *
 * @param {string} text
 */
export function step(text) {
  const time = el('span', { class: 'numeric dim' });
  const item = el('li', { 'data-state': 'waiting' }, text, time);
  return {
    item,
    /**
     * @param {string} when
     * @param {...(Node | string)} more
     */
    done(when, ...more) {
      item.dataset['state'] = 'done';
      time.textContent = when;
      if (more.length > 0) item.append(el('span', { class: 'more' }, ...more));
    },
    /** @param {string} why */
    fail(why) {
      item.dataset['state'] = 'failed';
      time.textContent = why;
    },
  };
}
