"""The IOP family: TaoWorld, AliExpress, Lazada, Miravia, Daraz, Alibaba.com."""
