import type { WindowSpec } from '#streams/language';

type Shape = Pick<WindowSpec, 'size' | 'advance'>;

/**
 * The start of the latest window that holds a time; each other one starts an advance earlier. Times are milliseconds since
 * 1970, and windows are aligned to 1970.
 */
export function latestStart({ advance }: Shape, time: number): number {
  return Math.floor(time / advance) * advance;
}

/** How long after its end a window can change, in milliseconds. */
export function openFor({ kind, size, grace }: Pick<WindowSpec, 'kind' | 'size' | 'grace'>): number {
  return kind === 'session' ? size + grace : grace; // an event up to a gap after its last one still joins it
}

/** Whether a window takes no more events at this watermark. */
export function isOver(window: Pick<WindowSpec, 'size' | 'grace'>, start: number, watermark: number): boolean {
  return start + window.size + window.grace <= watermark;
}
