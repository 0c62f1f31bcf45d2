export { coerce } from './coerce.ts';
export { ConfigError, addressVariable, commonConfig, loadConfig, processConfig, url } from './config.ts';
export type { ConfigSource } from './config.ts';
