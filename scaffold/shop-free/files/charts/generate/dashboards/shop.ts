import type { Row } from './panel.ts';

/** The rows of your services, the last ones of the event flow. */
export const shopRows: Row[] = [];
