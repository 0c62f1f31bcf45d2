export { isLoopback, ownNamesOnly } from './local-names.ts';
export type { NameCheck } from './local-names.ts';
