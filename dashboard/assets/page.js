// What the page shows whatever the domain is: theme, mails, token, stream queries and health.

import { getJson, onUnauthorized, token } from './api.js';
import { byId, note } from './dom.js';
import { showHealth, showQueries } from './panels.js';
import { failing, refresh } from './refresh.js';
import { themeButton } from './theme.js';

/**
 * Starts what does not depend on the domain.
 *
 * @returns {Promise<any>} the settings of the gateway
 */
export async function startPage() {
  themeButton(byId('theme'));
  const settings = await getJson('/settings.json').catch(() => ({}));
  if (settings.mailUrl) {
    byId('mail-link').href = settings.mailUrl;
    byId('mail-link').hidden = false;
  }
  if (settings.auth) askForToken();
  refresh({
    path: '/analytics/streams/status',
    everyMs: 3_000,
    show: (streams) => showQueries(byId('queries'), streams),
    fail: failing(byId('queries'), note),
  });
  refresh({
    // a report with DOWN has the status 503, and the panel shows it, too
    path: '/health',
    everyMs: 5_000,
    show: (health) => showHealth(byId('health'), health),
    fail: (/** @type {Error & {report?: any}} */ error) => {
      if (error.report?.checks) showHealth(byId('health'), error.report);
      else failing(byId('health'), note)(error);
    },
  });
  return settings;
}

function askForToken() {
  const box = byId('token-panel');
  onUnauthorized.call = () => (box.hidden = false);
  box.hidden = token.get() !== null;
  byId('token-form').addEventListener('submit', (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    token.set(byId('token-form').elements.token.value.trim());
    location.reload();
  });
}
