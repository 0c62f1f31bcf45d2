import type { Express } from 'express';
import { buildAsyncApi, buildOpenApi } from '#platform/contract';
import type { ContractRegistry } from '#platform/contract';
import { topics } from '#platform/declarations';
import { mountRead, notFound } from '#platform/http';
import packageJson from '../../package.json' with { type: 'json' };
import { Asset, immutable, loadSite, revalidate } from './assets.ts';

const site = new URL('../../dashboard/', import.meta.url);

/** What a browser may do with our pages: nothing but show them, with their own scripts and styles, and call this gateway. */
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

/** What the dashboard is told about where it runs. */
export interface PageSettings {
  /** whether the API wants a bearer token */
  auth: boolean;
  /** where sent mail can be looked at */
  mailUrl?: string | undefined;
  /** where a trace can be looked at; `{traceId}` stands for its id */
  traceUrl?: string | undefined;
}

/** The dashboard, the documents of the API and of the events, and the page that shows them. */
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
    // another version's page, served while the gateways are being replaced, gets what there is but must not keep it
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
