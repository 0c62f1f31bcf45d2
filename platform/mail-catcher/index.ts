export { startMailCatcher } from './mail-catcher.ts';
