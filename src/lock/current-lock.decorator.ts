import { createParamDecorator } from '@nestjs/common';
import { currentLock } from './lock-context.ts';

/**
 * The lock that `@WithLock` has taken for this handler, as one of its arguments; undefined where its key is made of the
 * arguments, because these come first. There, and below the handler, `currentLock()` finds it.
 *
 * @publicApi
 */
export const CurrentLock: () => ParameterDecorator = createParamDecorator(() => currentLock());
