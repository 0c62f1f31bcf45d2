import type { Express } from 'express';
import { buildAsyncApi, buildOpenApi } from '#platform/contract';
import type { ContractRegistry } from '#platform/contract';
import { topics } from '#platform/declarations';
import { mountRead, notFound } from '#platform/http';
import packageJson from '../../package.json' with { type: 'json' };
import { Asset, immutable, loadSite, revalidate } from './assets.ts';

const site = new URL('../../dashboard/', import.meta.url);

/** Lets a browser only show our pages with their own scripts and styles, and call this gateway. */
const pageHeaders = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Referrer-Policy': 'no-referrer',
};

/** The settings of the dashboard. */
export interface PageSettings {
  /** whether the API needs a bearer token */
  auth: boolean;
  /** the page that shows sent mails */
  mailUrl?: string | undefined;
  /** the page that shows a trace; `{traceId}` stands for its id */
  traceUrl?: string | undefined;
}

/** Serves the dashboard, the documents of the API and of the events, and the page that shows these. */
export function mountPages(app: Express, contracts: ContractRegistry, settings: PageSettings): void {
  const { pages, assets, hash } = loadSite(site);
  for (const [path, name] of [
    ['/', 'index.html'],
    ['/docs', 'docs.html'],
  ] as const) {
    mountRead(app, path, (request, response) => pages.get(name)!.send(request, response, revalidate, pageHeaders));
  }
  mountRead(app, '/assets/:hash/:name', (request, response) => {
    const asset = assets.get(String(request.params['name']));
    if (!asset) throw notFound(`There is nothing at ${request.path}`);
    // during a rollout, the page of another version gets the present asset, but must not cache it
    asset.send(request, response, request.params['hash'] === hash ? immutable : revalidate, {
      'Cross-Origin-Resource-Policy': 'same-origin',
    });
  });
  mountDocument(app, '/settings.json', () => settings);
  mountDocument(app, '/openapi.json', () => buildOpenApi(contracts, { version: packageJson.version, prefix: '/api' }));
  mountDocument(app, '/asyncapi.json', () =>
    buildAsyncApi(contracts, { version: packageJson.version, topics: topics().map(({ name }) => name) }),
  );
}

/** A JSON document, built at its first use. */
function mountDocument(app: Express, path: string, build: () => unknown): void {
  let asset: Asset | undefined;
  mountRead(app, path, (request, response) => {
    asset ??= new Asset(JSON.stringify(build()), 'application/json; charset=utf-8');
    asset.send(request, response, revalidate);
  });
}
