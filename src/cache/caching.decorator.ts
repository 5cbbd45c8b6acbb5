import type { AsyncMethod, AsyncMethodDecorator } from '../common/wrap-method.ts';

/**
 * Several cache decorators as one, to give a combination a name; the first stands outermost, as if written on top.
 *
 * @publicApi
 */
export function Caching<M extends AsyncMethod>(
  decorators: readonly AsyncMethodDecorator<M>[],
): AsyncMethodDecorator<M> {
  return (prototype, property, descriptor) => {
    for (const decorate of decorators.toReversed()) decorate(prototype, property, descriptor);
  };
}
