import { Body, Controller, Get, Param, ParseIntPipe, Post, Put } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiCreatedResponse,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiTags,
} from '@nestjs/swagger';
import { Cacheable } from 'nestjs-keep';
import { CatalogService } from './catalog.service.ts';
import { product, type Product, type ProductInput, productInput, products } from './product.ts';

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

  @Post()
  @ApiCreatedResponse({ standardSchema: product })
  @ApiBadRequestResponse()
  add(@Body({ schema: productInput }) input: ProductInput): Promise<Product> {
    return this.catalog.add(input);
  }

  @Put(':id')
  @ApiOkResponse({ standardSchema: product })
  @ApiBadRequestResponse()
  @ApiNotFoundResponse()
  change(@Param('id', ParseIntPipe) id: number, @Body({ schema: productInput }) input: ProductInput): Promise<Product> {
    return this.catalog.change(id, input);
  }
}
