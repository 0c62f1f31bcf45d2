import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { Health } from '#platform/health';
import { createLogger } from '#platform/telemetry';
import { contracts } from '#contracts/index.ts';
import { createGateway } from '../../../services/gateway/gateway.ts';
import { startStand } from './testing.ts';
import type { Stand } from './testing.ts';

const candidates = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The browser of this machine, or nothing. */
export const chromiumPath = candidates.find((path) => path !== undefined && existsSync(path));

export function launch(): Promise<Browser> {
  assert.ok(chromiumPath);
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  return chromium.launch({
    executablePath: chromiumPath,
    args: [...args, '--disable-component-update', '--disable-sync'],
  });
}

export interface Site {
  url: string;
  stand: Stand;
  close(): Promise<void>;
}

/** The gateway, with in-memory services behind it. */
export async function startSite(): Promise<Site> {
  const stand = await startStand();
  const { url } = stand;
  const health = new Health();
  const server = await createGateway({
    contracts,
    addresses: { users: url, orders: url, notifications: url, analytics: url },
    health,
    log: createLogger('gateway', 'silent'),
    pages: { mailUrl: 'http://127.0.0.1:8025' },
  });
  const port = await server.listen(0, '127.0.0.1');
  return {
    url: `http://127.0.0.1:${port}`,
    stand,
    async close() {
      await server.close();
      await stand.close();
    },
  };
}

/** Opens a page; `faults` collects the errors of the browser, such as violations of a policy. */
export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; faults: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    // the page itself shows error responses
    const refused = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !refused) faults.push(message.text());
  });
  // Chromium aborts loads when the machine gets another network interface, for example from a container
  let networkChanged = false;
  page.on('requestfailed', (request) => {
    networkChanged ||= request.failure()?.errorText === 'net::ERR_NETWORK_CHANGED';
  });
  do {
    networkChanged = false;
    await page.goto(url);
  } while (networkChanged);
  return { page, faults };
}
