export { controlPrefix, createControl } from './app.ts';
export type { ControlServices } from './services.ts';
export { controlRoutes } from './routes.ts';
