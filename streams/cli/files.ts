import { readFileSync } from 'node:fs';
import { loadQueries } from '#streams/language';
import type { QueryTopics, StreamQuery } from '#streams/language';
import { ToolFault } from './fault.ts';

/** Reads a file as text. @throws ToolFault if it cannot */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as { code?: string };
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : String(code);
    throw new ToolFault(`${file} cannot be read: ${reason}`);
  }
}

/**
 * Reads query files.
 * @param topics those of the services, if they have to be checked
 * @throws ToolFault, QueryFilesError with every mistake of every file
 */
export function readQueries(files: readonly string[], topics?: QueryTopics): StreamQuery[] {
  return loadQueries(
    files.map((file) => ({ file, text: readText(file) })),
    topics,
  );
}
