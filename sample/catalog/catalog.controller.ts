import { Body, Controller, Get, Param, ParseIntPipe, Post, Put } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiCreatedResponse,
  ApiHeader,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiTags,
} from '@nestjs/swagger';
import { Cacheable, Idempotent } from 'nestjs-keep';
import { CatalogService } from './catalog.service.ts';
import { product, type Product, type ProductInput, productInput, products } from './product.ts';

const IDEMPOTENCY_KEY = { name: 'Idempotency-Key', required: false };

@ApiTags('catalog')
@Controller('products')
export class CatalogController {
  constructor(private readonly catalog: CatalogService) {}

  /** The response as it was sent, for everybody: a change of a product removes it by its tag. */
  @Cacheable({ ttl: '5m', scope: 'public', tags: ['products'] })
  @Get()
  @ApiOkResponse({ standardSchema: products })
  list(): Promise<Product[]> {
    return this.catalog.list();
  }

  @Cacheable({ ttl: '5m', scope: 'public', tags: ['product:{params.id}'] })
  @Get(':id')
  @ApiOkResponse({ standardSchema: product })
  @ApiNotFoundResponse()
  find(@Param('id', ParseIntPipe) id: number): Promise<Product> {
    return this.catalog.find(id);
  }

  /** Once for each `Idempotency-Key`: a client that got no answer may send it again. */
  @Idempotent()
  @Post()
  @ApiHeader(IDEMPOTENCY_KEY)
  @ApiCreatedResponse({ standardSchema: product })
  @ApiBadRequestResponse()
  add(@Body({ schema: productInput }) input: ProductInput): Promise<Product> {
    return this.catalog.add(input);
  }

  @Idempotent()
  @Put(':id')
  @ApiHeader(IDEMPOTENCY_KEY)
  @ApiOkResponse({ standardSchema: product })
  @ApiBadRequestResponse()
  @ApiNotFoundResponse()
  change(@Param('id', ParseIntPipe) id: number, @Body({ schema: productInput }) input: ProductInput): Promise<Product> {
    return this.catalog.change(id, input);
  }
}
